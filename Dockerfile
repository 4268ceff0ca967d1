# syntax=docker/dockerfile:1
# A tag can be moved, a digest cannot: these are the digests for all platforms, as Docker's library published them
# (https://github.com/docker-library/repo-info). To take a newer image:
#   docker buildx imagetools inspect debian:bookworm-slim --format '{{json .Manifest.Digest}}'
ARG BUILD_IMAGE=rust:1.97.1-bookworm@sha256:593db038d36ea0d2e5b22a2e095eb95dbec607d88d658c2f35f65ee880b4f93a
ARG RUN_IMAGE=debian:bookworm-slim@sha256:abd67ffcfa541b485a3dff59865ab629aa048a6c613e639d36e7456b0b229241

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
