# syntax=docker/dockerfile:1
FROM rust:1.95-bookworm AS build
WORKDIR /memberflow
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/memberflow/target \
    cargo build --locked --release --bin memberflow \
    && cp target/release/memberflow /usr/local/bin/memberflow

FROM debian:bookworm-slim
# curl is there for the health check alone.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home --shell /usr/sbin/nologin memberflow
COPY --from=build /usr/local/bin/memberflow /usr/local/bin/memberflow
COPY fixtures /usr/share/memberflow/fixtures
USER memberflow
ENV MEMBERFLOW_BIND=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["curl", "--fail", "--silent", "--show-error", "--output", "/dev/null", "http://127.0.0.1:8080/healthz"]
ENTRYPOINT ["memberflow"]
CMD ["serve"]
