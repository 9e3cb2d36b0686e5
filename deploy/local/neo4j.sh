# Sourced by deploy/local/servers. Neo4j Community with Graph Data Science, from Maven artifacts.
# The GDS jars must be on the class path (kernel services) and in the plugins folder (procedures):
# with only the folder the server does not start, with only the class path there are no procedures.

neo4j_dir=$SERVERS_DIR/neo4j
neo4j_pid=$neo4j_dir/neo4j.pid
neo4j_log=$neo4j_dir/logs/console.log
neo4j_jars=$SERVERS_JARS/neo4j
neo4j_mark=--home-dir=$neo4j_dir

neo4j_lacks() { lacking java python3; [[ -e $neo4j_jars/.complete ]] || lacking mvn; }
neo4j_packages="default-jre-headless maven python3"
neo4j_alive() { alive "$neo4j_pid" "$neo4j_mark"; }
neo4j_ready() { # it answers Cypher with our password, and GDS is there
  SECRET=$(secret neo4j) python3 - "$(<"$SERVERS_DIR/neo4j-http.port")" <<'PY'
import base64, json, os, sys, urllib.request

credentials = base64.b64encode(f"neo4j:{os.environ['SECRET']}".encode()).decode()
request = urllib.request.Request(
    f"http://127.0.0.1:{sys.argv[1]}/db/neo4j/query/v2",
    json.dumps({"statement": "RETURN gds.version()"}).encode(),
    {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Authorization": f"Basic {credentials}",
    },
)
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy
assert json.load(opener.open(request, timeout=5))["data"]["values"]
PY
}

neo4j_fetch() {
  (
    flock 8
    want=$(cksum <"$HERE/neo4j/pom.xml")
    [[ $(cat "$neo4j_jars/.complete" 2>/dev/null) == "$want" ]] && exit 0
    say neo4j "fetching the jars (140 MB, once)"
    rm -rf "$neo4j_jars/lib" "$neo4j_jars/plugins" "$neo4j_jars/.complete"
    mvn -q -B ${MVN_ARGS:-} -f "$HERE/neo4j/pom.xml" package -Dhome.dir="$neo4j_jars" >&2 &&
      echo "$want" >"$neo4j_jars/.complete"
  ) 8>"$neo4j_jars.lock" 9>&- || { say neo4j "the jars could not be fetched"; return 1; }
}

neo4j_configure() {
  local bolt http
  bolt=$(port neo4j 17687) && http=$(port neo4j-http 17474) || return 1
  mkdir -p "$neo4j_dir"/{conf,data,logs,import,run}
  {
    cat "$HERE/neo4j/neo4j.conf"
    echo "server.bolt.listen_address=127.0.0.1:$bolt"
    echo "server.bolt.advertised_address=127.0.0.1:$bolt"
    echo "server.http.listen_address=127.0.0.1:$http"
    echo "server.http.advertised_address=127.0.0.1:$http"
    echo "server.directories.plugins=$neo4j_jars/plugins"
    printf '%s\n' "${SERVERS_NEO4J_CONF:-}"
  } | awk -F= '/^[a-z]/ {if (!($1 in at)) at[$1] = ++n; line[at[$1]] = $0}
      END {for (i = 1; i <= n; i++) print line[i]}' >"$neo4j_dir/conf/neo4j.conf"
}

neo4j_password() { # once, before the system database is made
  [[ ! -e $neo4j_dir/data/databases/system ]] || return 0
  local answers=$neo4j_dir/password.args
  (umask 077 && printf '%s\n' "$(secret neo4j)" >"$answers")
  # Its argument comes from a file: a password on a command line is everybody's to read.
  NEO4J_HOME=$neo4j_dir NEO4J_CONF=$neo4j_dir/conf java -XX:TieredStopAtLevel=1 -cp "$neo4j_jars/lib/*" \
    org.neo4j.server.startup.Neo4jAdminCommand dbms set-initial-password "@$answers" \
    >"$neo4j_dir/logs/password.log" 2>&1 ||
    { tail -n 5 "$neo4j_dir/logs/password.log" >&2; rm -f "$answers"; return 1; }
  rm -f "$answers"
}

neo4j_start() {
  mkdir -p "$neo4j_dir" "$neo4j_jars"
  neo4j_fetch && neo4j_configure && neo4j_password || return 1
  cd "$neo4j_dir" || return 1
  launch "$neo4j_pid" "$neo4j_log" \
    java -Xms256m -Xmx"${SERVERS_NEO4J_HEAP:-768m}" -XX:+UseG1GC -XX:-OmitStackTraceInFastThrow \
    --add-opens=java.base/java.nio=ALL-UNNAMED --add-opens=java.base/java.io=ALL-UNNAMED \
    --add-opens=java.base/sun.nio.ch=ALL-UNNAMED -Dio.netty.tryReflectionSetAccessible=true \
    -Dlog4j2.disable.jmx=true -Dfile.encoding=UTF-8 -cp "$neo4j_jars/plugins/*:$neo4j_jars/lib/*" \
    org.neo4j.server.CommunityEntryPoint "$neo4j_mark" --config-dir="$neo4j_dir/conf"
  neo4j_wait
}
neo4j_wait() { await neo4j "$neo4j_pid" "$neo4j_mark" 300 "$neo4j_log" neo4j_ready; }
neo4j_stop() { end "$neo4j_pid" "$neo4j_mark" TERM 60; }
neo4j_kill() { end "$neo4j_pid" "$neo4j_mark" KILL 10; }
neo4j_env() {
  echo "RINGFENCE_TEST_NEO4J=bolt://127.0.0.1:$(<"$SERVERS_DIR/neo4j.port")"
  echo "RINGFENCE_TEST_NEO4J_USER=neo4j"
  echo "RINGFENCE_TEST_NEO4J_PASSWORD=$(secret neo4j)"
}
