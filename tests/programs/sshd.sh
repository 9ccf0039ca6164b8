# needs: sshd ssh ssh-keygen unshare
# A whole connection without a port: the server is the client's proxy command.
for key in host user; do L ssh-keygen -q -t ed25519 -N '' -f $key; done
cat >config <<CONFIG
HostKey $PWD/host
AuthorizedKeysFile $PWD/user.pub
StrictModes no
UsePAM no
PermitRootLogin yes
PidFile none
CONFIG
server="${DIRECT:-} $(type -P sshd) -i -f $PWD/config"
connect() {
    # Root's server wants an empty folder to retire to, and not every system has it.
    local place=()
    ((EUID)) || place=(unshare -m sh -ec 'mount -t tmpfs none /run; mkdir -m 755 /run/sshd; exec "$@"' sh)
    "${place[@]}" ${DIRECT:+"$DIRECT"} "$(type -P ssh)" -F none -i user -o ProxyCommand="$server" -o BatchMode=yes \
        -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR "$@"
}
connect localhost true 2>error || skip "sshd takes no connection: $(sed -n '$p' error)"
connect localhost 'echo $((6 * 7)); exit 3' || echo $?
seq 100000 | connect localhost sha256sum
connect -c aes128-ctr -m hmac-sha2-256 -C localhost seq 100000 | sha256sum
connect -c chacha20-poly1305@openssh.com -o KexAlgorithms=curve25519-sha256 localhost id -un
