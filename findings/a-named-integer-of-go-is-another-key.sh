#!/usr/bin/env bash
# One would guess: of `type Account int64`, Account(7) is the key int64(7), and a uint64 is a number or refused.
# What happens (Go): the client looks at the exact type, and stores everything else as gob, without a word. The entry is
# another one than that of int64(7), and no other language reads its key. A string of a named type goes the same way.
# Why it matters: types of one's own for identifiers are good Go, and work as long as only Go reads the map.
. "$(dirname "$0")/lib-member.sh"
BUILD_S_MAX=400
go version
mkdir "$folder/go"
cd "$folder/go"
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/hazelcast/hazelcast-go-client"
)

type (
	Account int64
	Shop    string
)

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func main() {
	ctx := context.Background()
	config := hazelcast.Config{}
	config.Cluster.Name = os.Getenv("CLUSTER")
	config.Cluster.Network.SetAddresses("127.0.0.1:" + os.Getenv("PORT"))
	client, err := hazelcast.StartNewClientWithConfig(ctx, config)
	check(err)
	records, err := client.GetMap(ctx, "records")
	check(err)
	for _, key := range []interface{}{int64(7), Account(7), uint64(7), "a", Shop("a")} {
		check(records.Set(ctx, key, fmt.Sprintf("%T", key)))
		size, err := records.Size(ctx)
		check(err)
		found, err := records.Get(ctx, key)
		check(err)
		fmt.Printf("Set(%T): entries %d, and Get finds %v\n", key, size, found)
	}
	check(client.Shutdown(ctx))
}
GO
export GOFLAGS=-mod=mod GOTOOLCHAIN=local CGO_ENABLED=0
timeout --foreground "$BUILD_S_MAX" go mod init example.com/finding 2>/dev/null
timeout --foreground "$BUILD_S_MAX" go get github.com/hazelcast/hazelcast-go-client@v1.5.0 2>/dev/null
timeout --foreground "$BUILD_S_MAX" go build -o finding .
go list -m github.com/hazelcast/hazelcast-go-client
timeout --foreground "$FINDING_S_MAX" ./finding 2>/dev/null | tee seen.txt
seen=$(cat seen.txt)
export seen

finding <<'PYTHON'
import os

from hazelcast.config import IntType

from seen import compare, connect, end

lines = os.environ["seen"].splitlines()
compare("entries, one key after the other", [line.split()[2].strip(",") for line in lines], ["1", "2", "3", "4", "5"])
client = connect(default_int_type=IntType.LONG)
records = client.get_map("records").blocking()
compare("Python's get(7)", records.get(7), "int64")
compare("Python's get('a')", records.get("a"), "string")
try:
    said = records.key_set()
except Exception as error:
    said = type(error).__name__
compare("Python's key_set", said if isinstance(said, str) else "keys", "HazelcastSerializationError")
end(client)
PYTHON
