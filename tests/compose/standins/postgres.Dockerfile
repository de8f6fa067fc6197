# Stands in for the official image: the same variables, paths and port, from Debian's package.
FROM flash-standin-debian
ENV PGDATA=/var/lib/postgresql/data
COPY postgres.sh /usr/local/bin/postgres.sh
RUN ln -s "$(dirname /usr/lib/postgresql/*/bin/initdb)" /opt/postgresql && mkdir -p "$PGDATA" && chown postgres:postgres "$PGDATA"
ENV PATH=/opt/postgresql:$PATH
USER postgres
VOLUME /var/lib/postgresql/data
EXPOSE 5432
STOPSIGNAL SIGINT
ENTRYPOINT ["postgres.sh"]
