# Sourced by the other scripts: free TCP ports.

# A TCP port that nobody listens on now, below the range from which the kernel gives ports to clients.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        if ! grep -qi ":$(printf %04X "$port") " /proc/net/tcp /proc/net/tcp6 2>/dev/null; then
            echo "$port"
            return
        fi
    done
}
