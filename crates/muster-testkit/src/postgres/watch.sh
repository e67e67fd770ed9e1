# Makes a PostgreSQL cluster in a new folder, serves it on a loopback port, and removes it when stdin ends.
# Arguments: folder of the programs, port. Says one line: "ready", or what went wrong.
programs=$1
port=$2
folder=$(mktemp -d "${TMPDIR:-/tmp}/muster-pg.XXXXXX") || { echo "no folder for the data"; exit 1; }
server=
finish() {
    if [ -n "$server" ]; then
        kill -QUIT "$server" 2>/dev/null
        wait "$server" 2>/dev/null
    fi
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

# A locale that does not sort by bytes, so that a forgotten COLLATE "C" shows.
make="$programs/initdb --pgdata=$folder/data --username=postgres --auth=trust --encoding=UTF8 --no-sync"
{ $make --locale=C --locale-provider=icu --icu-locale=en-US || { rm -rf "$folder/data"; $make --locale=C; }; } \
    >"$folder/log" 2>&1 </dev/null || { tail -n 1 "$folder/log"; exit 1; }

"$programs/postgres" -D "$folder/data" -p "$port" -c listen_addresses=127.0.0.1 \
    -c "unix_socket_directories=$folder" -c max_connections=300 -c shared_buffers=64MB -c fsync=on \
    -c synchronous_commit=on >>"$folder/log" 2>&1 </dev/null &
server=$!

tries=0
until grep -q '^ready' "$folder/data/postmaster.pid" 2>/dev/null; do
    tries=$((tries + 1))
    if [ "$tries" -gt 200 ] || ! kill -0 "$server" 2>/dev/null; then
        tail -n 1 "$folder/log"
        exit 1
    fi
    sleep 0.1
done
echo ready
exec >/dev/null

while read -r _; do :; done
