package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const maxRequest = 1 << 20

// A witness cosigns what is consistent with all that it cosigned before: C2SP tlog-witness, for one log.
type witness struct {
	signer *cosigner
	origin string
	known  note.Verifiers
	delay  time.Duration
	out    io.Writer

	// INVARIANT: held from the look at the latest size to its change, or two requests could roll the log back.
	mutex  sync.Mutex
	latest tlog.Tree
	// The latest checkpoint with the log's signature and ours, or nil.
	note []byte
}

// A refusal is an answer other than 200.
type refusal struct {
	status int
	reason string
	// The latest size, told where the client was wrong about it.
	size *int64
}

func refuse(status int, format string, values ...interface{}) *refusal {
	return &refusal{status: status, reason: fmt.Sprintf(format, values...)}
}

func newWitness(name, seedHex, logVkeys string, out io.Writer) (*witness, error) {
	known, err := parseVerifiers(logVkeys)
	if err != nil {
		return nil, err
	}
	seed, err := hex.DecodeString(seedHex)
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, errors.New("the seed is not 32 bytes in hex")
	}
	origin, _, _ := strings.Cut(logVkeys, "+")
	for _, vkey := range strings.Split(logVkeys, ",") {
		if !strings.HasPrefix(vkey, origin+"+") {
			return nil, fmt.Errorf("key `%s` is of another log than `%s`", vkey, origin)
		}
	}
	return &witness{signer: newCosigner(name, seed), origin: origin, known: known, out: out}, nil
}

func runWitness(listen, name, seedHex, logVkeys string, out io.Writer) error {
	witness, err := newWitness(name, seedHex, logVkeys, out)
	if err != nil {
		return err
	}
	if text := os.Getenv("WITNESS_DELAY_MS"); text != "" {
		milliseconds, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return fmt.Errorf("WITNESS_DELAY_MS: `%s` is no number", text)
		}
		witness.delay = time.Duration(milliseconds) * time.Millisecond
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "listening", listener.Addr(), witness.signer.vkey())
	return http.Serve(listener, witness)
}

func (w *witness) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	switch request.URL.Path {
	case "/add-checkpoint":
		w.addCheckpoint(answer, request)
	case fmt.Sprintf("/%x/checkpoint", sha256.Sum256([]byte(w.origin))):
		w.showCheckpoint(answer, request)
	default:
		http.NotFound(answer, request)
	}
}

func (w *witness) addCheckpoint(answer http.ResponseWriter, request *http.Request) {
	size, line, refused := w.decide(request)
	time.Sleep(w.delay)
	if refused == nil {
		answer.Header().Set("Content-Type", "text/plain; charset=utf-8")
		answer.Write(line)
		fmt.Fprintf(w.out, "cosigned %d\n", size)
		return
	}
	if refused.size != nil {
		answer.Header().Set("Content-Type", "text/x.tlog.size")
		answer.WriteHeader(refused.status)
		fmt.Fprintf(answer, "%d\n", *refused.size)
	} else {
		http.Error(answer, refused.reason, refused.status)
	}
	fmt.Fprintf(w.out, "refused %d %s\n", refused.status, refused.reason)
}

func (w *witness) showCheckpoint(answer http.ResponseWriter, request *http.Request) {
	if request.Method != http.MethodGet {
		http.Error(answer, "only GET", http.StatusMethodNotAllowed)
		return
	}
	w.mutex.Lock()
	latest := w.note
	w.mutex.Unlock()
	if latest == nil {
		http.NotFound(answer, request)
		return
	}
	answer.Header().Set("Content-Type", "text/plain; charset=utf-8")
	answer.Write(latest)
}

// decide returns the size that it cosigned and its signature line.
func (w *witness) decide(request *http.Request) (int64, []byte, *refusal) {
	if request.Method != http.MethodPost {
		return 0, nil, refuse(http.StatusMethodNotAllowed, "only POST")
	}
	body, err := io.ReadAll(io.LimitReader(request.Body, maxRequest+1))
	if err != nil {
		return 0, nil, refuse(http.StatusBadRequest, "body: %v", err)
	}
	if len(body) > maxRequest {
		return 0, nil, refuse(http.StatusRequestEntityTooLarge, "more than %d bytes", maxRequest)
	}
	old, proof, message, err := parseAddCheckpoint(body)
	if err != nil {
		return 0, nil, refuse(http.StatusBadRequest, "%v", err)
	}
	signed, opened, refused := w.open(message)
	if refused != nil {
		return 0, nil, refused
	}
	line, refused := w.cosign(old, proof, signed, opened)
	return signed.tree.N, line, refused
}

// parseAddCheckpoint takes a request apart: the old size, the proof from it, and a checkpoint.
func parseAddCheckpoint(body []byte) (int64, tlog.TreeProof, []byte, error) {
	head, message, found := bytes.Cut(body, []byte("\n\n"))
	if !found {
		return 0, nil, nil, errors.New("no empty line before the checkpoint")
	}
	lines := strings.Split(string(head), "\n")
	if !strings.HasPrefix(lines[0], "old ") {
		return 0, nil, nil, errors.New("no old size line")
	}
	old, err := parseDecimal(strings.TrimPrefix(lines[0], "old "))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("old size: %w", err)
	}
	proof, err := parseHashes(lines[1:])
	return old, proof, message, err
}

// open tells apart an unknown log, a log's checkpoint that is not signed, and one that is.
func (w *witness) open(message []byte) (checkpoint, *note.Note, *refusal) {
	opened, err := note.Open(message, w.known)
	var (
		unverified *note.UnverifiedNoteError
		invalid    *note.InvalidSignatureError
	)
	text, _, _ := bytes.Cut(message, []byte("\n\n"))
	origin, _, _ := strings.Cut(string(text), "\n")
	switch {
	case errors.As(err, &unverified), errors.As(err, &invalid), err == nil:
		// Which keys count depends on the origin, so an unknown one is said before any doubt about signatures.
		if origin != w.origin {
			return checkpoint{}, nil, refuse(http.StatusNotFound, "unknown origin `%s`", origin)
		}
	default:
		return checkpoint{}, nil, refuse(http.StatusBadRequest, "checkpoint: %v", err)
	}
	if err != nil {
		return checkpoint{}, nil, refuse(http.StatusForbidden, "%v", err)
	}
	signed, err := parseCheckpoint(opened.Text)
	if err != nil {
		return checkpoint{}, nil, refuse(http.StatusBadRequest, "%v", err)
	}
	return signed, opened, nil
}

// cosign compares with the latest checkpoint and puts the new one in its place.
func (w *witness) cosign(old int64, proof tlog.TreeProof, signed checkpoint, opened *note.Note) ([]byte, *refusal) {
	if old > signed.tree.N {
		return nil, refuse(http.StatusBadRequest, "old size %d is larger than %d", old, signed.tree.N)
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if latest := w.latest.N; old != latest {
		refused := refuse(http.StatusConflict, "old size %d is not %d", old, latest)
		refused.size = &latest
		return nil, refused
	}
	if signed.falselyEmpty() {
		return nil, refuse(http.StatusUnprocessableEntity, "the empty tree has root %s", signed.tree.Hash)
	}
	if old == 0 && len(proof) != 0 {
		return nil, refuse(http.StatusUnprocessableEntity, "a proof from the empty tree")
	}
	if old > 0 {
		// This also covers equal sizes, where the proof is empty and the roots are the same.
		err := tlog.CheckTree(proof, signed.tree.N, signed.tree.Hash, old, w.latest.Hash)
		if err != nil {
			return nil, refuse(http.StatusUnprocessableEntity, "from %d to %d: %v", old, signed.tree.N, err)
		}
	}
	// Only signatures that were verified are passed on.
	cosigned, err := note.Sign(&note.Note{Text: opened.Text, Sigs: opened.Sigs}, w.signer)
	if err != nil {
		return nil, refuse(http.StatusInternalServerError, "%v", err)
	}
	w.latest, w.note = signed.tree, cosigned
	// A note's new signature is its last line.
	start := bytes.LastIndexByte(cosigned[:len(cosigned)-1], '\n') + 1
	return cosigned[start:], nil
}
