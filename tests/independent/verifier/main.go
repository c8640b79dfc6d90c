// Command verifier checks an audit log from outside, with code that shares nothing with the daemon's.
//
// The daemon promises that anyone with its public key can check its log with tools that it did not bring. This is such
// a tool: it trusts only Go's own transparency log packages, the ones that guard Go's checksum database.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

const usage = `usage:
  verifier log VKEY[,VKEY...] BASEURL [OLDCHECKPOINT...]
  verifier proof VKEY[,VKEY...] RECORD PROOF
  verifier checkpoint VKEY[,VKEY...] FILE
  verifier cosigned VKEY[,VKEY...] COSIGVKEY FILE
  verifier witness LISTEN NAME SEEDHEX LOGVKEY[,LOGVKEY...]

environment:
  VERIFIER_AUTHORIZATION  the header of that name that 'log' sends
  WITNESS_DELAY_MS        how long 'witness' waits before each answer
`

// errUsage is told apart from a failed check, so that a mistyped command line never reads as a bad log.
var errUsage = errors.New("wrong arguments")

func main() {
	err := run(os.Args[1:], os.Stdout)
	if errors.Is(err, errUsage) {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "verifier:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) == 0 {
		return errUsage
	}
	verb, args := args[0], args[1:]
	switch {
	case verb == "log" && len(args) >= 2:
		return verifyLog(args[0], args[1], args[2:], out)
	case verb == "proof" && len(args) == 3:
		return verifyProofFile(args[0], args[1], args[2], out)
	case verb == "checkpoint" && len(args) == 2:
		return verifyCheckpointFile(args[0], args[1], out)
	case verb == "cosigned" && len(args) == 3:
		return verifyCosignedFile(args[0], args[1], args[2], out)
	case verb == "witness" && len(args) == 4:
		return runWitness(args[0], args[1], args[2], args[3], out)
	}
	return errUsage
}
