#!/usr/bin/env bash
# One would guess: types.Decimal.Float64() of the Go client is the nearest double, whatever the number of digits.
# What happens: it takes the digits as an int64, of which only the lowest 64 bits are left: 12345678901234567890.12 is a
# negative number. Its String(), and the DECIMAL that is written and read, are exact.
# Why it matters: 17 digits and two behind the point are within 64 bits, so amounts of money pass every test but the large ones.
. "$(dirname "$0")/lib-packages.sh"
BUILD_S_MAX=400
mkdir "$folder/go" "$PYTHONPATH"
cd "$folder/go"
cat >main.go <<'GO'
package main

import (
	"fmt"
	"math/big"
	"os"

	"github.com/hazelcast/hazelcast-go-client/types"
)

func main() {
	changed := false
	compare := func(digits, text string, float float64) {
		unscaled, _ := new(big.Int).SetString(digits, 10)
		seen := types.NewDecimal(unscaled, 2)
		same := seen.String() == text && seen.Float64() == float
		changed = changed || !same
		fmt.Printf("%-26s Float64() %.2f", seen.String(), seen.Float64())
		if !same {
			fmt.Printf("   CHANGED: it was %s, %.2f", text, float)
		}
		fmt.Println()
	}
	compare("1250", "12.50", 12.5)
	compare("9223372036854775807", "92233720368547758.07", 92233720368547758.07)
	compare("9223372036854775808", "92233720368547758.08", -92233720368547758.08)
	compare("1234567890123456789012", "12345678901234567890.12", -13639628150831692)
	if changed {
		fmt.Println("the behaviour has changed")
		os.Exit(1)
	}
	fmt.Println("as described")
}
GO
export GOFLAGS=-mod=mod GOTOOLCHAIN=local CGO_ENABLED=0
go version
timeout --foreground "$BUILD_S_MAX" go mod init example.com/finding 2>/dev/null
timeout --foreground "$BUILD_S_MAX" go get github.com/hazelcast/hazelcast-go-client@v1.5.0 2>/dev/null
timeout --foreground "$BUILD_S_MAX" go build -o finding .
go list -m github.com/hazelcast/hazelcast-go-client
timeout --foreground "$FINDING_S_MAX" ./finding
