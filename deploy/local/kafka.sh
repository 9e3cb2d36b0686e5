# Sourced by deploy/local/servers. Kafka from its jars: Maven fetches them, Java runs them.
# Two listeners: plain, and TLS with SCRAM users behind a certificate authority of our own.

kafka_dir=$SERVERS_DIR/kafka
kafka_conf=$kafka_dir/server.properties
kafka_pid=$kafka_dir/kafka.pid
kafka_log=$kafka_dir/kafka.log
kafka_jars=$SERVERS_JARS/kafka

kafka_lacks() { lacking java openssl; [[ -e $kafka_jars/.complete ]] || lacking mvn; }
kafka_packages="default-jre-headless maven openssl"
kafka_alive() { alive "$kafka_pid" "$kafka_conf"; }
kafka_ready() {
  grep -q 'Kafka Server started' "$kafka_log" && taken "$(<"$SERVERS_DIR/kafka.port")" &&
    taken "$(<"$SERVERS_DIR/kafka-secure.port")"
}

kafka_fetch() {
  (
    flock 8 # several folders may share the jars
    want=$(cksum <"$HERE/kafka/pom.xml")
    [[ $(cat "$kafka_jars/.complete" 2>/dev/null) == "$want" ]] && exit 0
    say kafka "fetching the jars (45 MB, once)"
    rm -f "$kafka_jars"/*.jar "$kafka_jars/.complete"
    mvn -q -B ${MVN_ARGS:-} -f "$HERE/kafka/pom.xml" \
      dependency:copy-dependencies -DoutputDirectory="$kafka_jars" >&2 &&
      echo "$want" >"$kafka_jars/.complete"
  ) 8>"$kafka_jars.lock" 9>&- || { say kafka "the jars could not be fetched"; return 1; }
}

kafka_tls() { # an authority, and a certificate of the broker signed by it; ten years, never leaves here
  local tls=$SERVERS_DIR/tls
  [[ -s $tls/broker.pem ]] && return 0
  mkdir -p "$tls" && (
    umask 077 && cd "$tls" &&
      openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=Ringfence local authority" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
        -keyout ca.key -out ca.crt &&
      openssl req -newkey rsa:2048 -nodes -subj "/CN=localhost" -keyout broker.key -out broker.csr &&
      printf '%s\n' 'subjectAltName=DNS:localhost,IP:127.0.0.1' 'extendedKeyUsage=serverAuth' \
        'basicConstraints=CA:FALSE' >broker.ext &&
      openssl x509 -req -in broker.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 \
        -extfile broker.ext -out broker.crt &&
      cat broker.key broker.crt ca.crt >broker.pem.part && mv broker.pem.part broker.pem
  ) >"$tls/openssl.log" 2>&1 || { tail -n 5 "$tls/openssl.log" >&2; return 1; }
}

kafka_configure() {
  local plain secure controller
  plain=$(port kafka 19092) && secure=$(port kafka-secure 19094) &&
    controller=$(port kafka-controller 19093) || return 1
  {
    cat "$HERE/kafka/server.properties"
    echo "listeners=PLAINTEXT://127.0.0.1:$plain,SECURE://127.0.0.1:$secure,CONTROLLER://127.0.0.1:$controller"
    echo "advertised.listeners=PLAINTEXT://127.0.0.1:$plain,SECURE://127.0.0.1:$secure"
    echo "controller.quorum.voters=1@127.0.0.1:$controller"
    echo "log.dirs=$kafka_dir/data"
    echo "listener.name.secure.ssl.keystore.location=$SERVERS_DIR/tls/broker.pem"
    printf '%s\n' "${SERVERS_KAFKA_CONF:-}"
  } >"$kafka_conf"
}

kafka_format() {
  [[ ! -e $kafka_dir/data/meta.properties ]] || return 0
  local answers=$kafka_dir/format.args password each
  password=$(secret kafka)
  # Arguments from a file: a password on a command line is everybody's to read.
  (
    umask 077
    {
      printf '%s\n' format -t ringfence-local-kafka-aa -c "$kafka_conf"
      for each in SCRAM-SHA-512 SCRAM-SHA-256; do
        printf '%s\n' --add-scram "$each=[name=ringfence,password=$password]"
      done
    } >"$answers"
  )
  java -Xshare:auto -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
    -cp "$kafka_jars/*" kafka.tools.StorageTool "@$answers" >"$kafka_dir/format.log" 2>&1 ||
    { tail -n 5 "$kafka_dir/format.log" >&2; rm -f "$answers"; return 1; }
  rm -f "$answers"
}

kafka_start() {
  mkdir -p "$kafka_dir" "$kafka_jars"
  kafka_fetch && kafka_tls && kafka_configure && kafka_format || return 1
  launch "$kafka_pid" "$kafka_log" \
    java -Xms128m -Xmx"${SERVERS_KAFKA_HEAP:-512m}" -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError \
    -Dorg.slf4j.simpleLogger.showDateTime=true -Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS \
    -Dorg.slf4j.simpleLogger.log.org.apache.kafka.controller=warn \
    -Dorg.slf4j.simpleLogger.log.state.change.logger=warn \
    -Dorg.slf4j.simpleLogger.log.org.apache.kafka.storage.internals.log=warn \
    -cp "$kafka_jars/*" kafka.Kafka "$kafka_conf"
  kafka_wait
}
kafka_wait() { await kafka "$kafka_pid" "$kafka_conf" 240 "$kafka_log" kafka_ready; }
kafka_stop() { end "$kafka_pid" "$kafka_conf" TERM 30; }
kafka_kill() { end "$kafka_pid" "$kafka_conf" KILL 10; }
kafka_env() {
  echo "RINGFENCE_TEST_KAFKA=127.0.0.1:$(<"$SERVERS_DIR/kafka.port")"
  echo "RINGFENCE_TEST_KAFKA_SECURE=127.0.0.1:$(<"$SERVERS_DIR/kafka-secure.port")"
  echo "RINGFENCE_TEST_KAFKA_CA=$SERVERS_DIR/tls/ca.crt"
  echo "RINGFENCE_TEST_KAFKA_USER=ringfence"
  echo "RINGFENCE_TEST_KAFKA_PASSWORD=$(secret kafka)"
}
