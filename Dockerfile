# reconciler in a container: a static binary, no shell, no root.
# State, key stores and reconciler.yaml are mounted; see docs/operations.md.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o /out/reconciler ./cmd/reconciler \
 && mkdir -p /out/state

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/reconciler /usr/local/bin/reconciler
COPY --from=build --chown=65532:65532 --chmod=0700 /out/state /var/lib/reconciler
USER 65532:65532
VOLUME /var/lib/reconciler
ENTRYPOINT ["/usr/local/bin/reconciler"]
CMD ["run"]
