# Stands in for the official nginx image.
FROM flash-standin-debian
EXPOSE 8443
CMD ["nginx", "-g", "daemon off;"]
