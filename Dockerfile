# syntax=docker/dockerfile:1
# A tag can be moved, a digest cannot. To pin an image, look its digest up and give it:
#   docker buildx imagetools inspect rust:1.95-bookworm --format '{{json .Manifest.Digest}}'
#   docker build --build-arg BUILD_IMAGE=rust:1.95-bookworm@sha256:… --build-arg RUN_IMAGE=debian:bookworm-slim@sha256:… .
ARG BUILD_IMAGE=rust:1.95-bookworm
ARG RUN_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
WORKDIR /memberflow
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/memberflow/target \
    cargo build --locked --release --bin memberflow \
    && cp target/release/memberflow /usr/local/bin/memberflow

FROM ${RUN_IMAGE}
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
