# Stands in for the official image: the same files, ports and user, from Debian's package.
FROM flash-standin-debian
RUN mkdir -p /etc/rabbitmq/conf.d && echo 'loopback_users = none' > /etc/rabbitmq/conf.d/10-defaults.conf && chown -R rabbitmq:rabbitmq /var/lib/rabbitmq /etc/rabbitmq
ENV HOME=/var/lib/rabbitmq RABBITMQ_LOGS=-
USER rabbitmq
VOLUME /var/lib/rabbitmq
EXPOSE 5672
CMD ["rabbitmq-server"]
