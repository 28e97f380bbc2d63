# The image of `make image`, for those who build with a container engine:
#   docker build -t rauta .
# The first stage makes the layer as it is made elsewhere; the last one is that layer and nothing else.
FROM debian:12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libatomic1 make npm
WORKDIR /src
COPY . .
RUN make image && mkdir /rootfs \
  && tar --xattrs --xattrs-include='*' -xzpf "$(ls -S dist/image/blobs/sha256/* | head -n 1)" -C /rootfs

FROM scratch
COPY --from=build /rootfs /
USER 65532:65532
ENV PATH=/opt/rauta/bin
EXPOSE 80 443 9090
LABEL org.opencontainers.image.title=rauta \
  org.opencontainers.image.description="Gateway API and Ingress controller with a proxy of its own" \
  org.opencontainers.image.licenses=Apache-2.0
ENTRYPOINT ["/opt/rauta/bin/node", "--max-semi-space-size=2", "--disable-warning=ExperimentalWarning", "/opt/rauta/src/main/main.js"]
CMD ["serve"]
