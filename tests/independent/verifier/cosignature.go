package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// The signature type of C2SP tlog-cosignature with Ed25519, which Go's note package does not know.
const algCosignature = 4

// cosignedMessage is what a witness signs: the checkpoint's text and the time at which it vouched for it.
func cosignedMessage(timestamp uint64, text []byte) []byte {
	return append([]byte(fmt.Sprintf("cosignature/v1\ntime %d\n", timestamp)), text...)
}

func cosignatureKeyHash(name string, public ed25519.PublicKey) uint32 {
	sum := sha256.Sum256(append([]byte(name+"\n\x04"), public...))
	return binary.BigEndian.Uint32(sum[:])
}

// A cosigVerifier is a note.Verifier of type 0x04.
type cosigVerifier struct {
	name   string
	public ed25519.PublicKey
}

func (v *cosigVerifier) Name() string    { return v.name }
func (v *cosigVerifier) KeyHash() uint32 { return cosignatureKeyHash(v.name, v.public) }

func (v *cosigVerifier) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	timestamp := binary.BigEndian.Uint64(signature)
	// A witness of checkpoints always says when, and in 63 bits.
	if timestamp == 0 || timestamp > math.MaxInt64 {
		return false
	}
	return ed25519.Verify(v.public, cosignedMessage(timestamp, text), signature[8:])
}

func (v *cosigVerifier) vkey() string {
	key := append([]byte{algCosignature}, v.public...)
	return fmt.Sprintf("%s+%08x+%s", v.name, v.KeyHash(), base64.StdEncoding.EncodeToString(key))
}

func newCosigVerifier(vkey string) (*cosigVerifier, error) {
	// The base64 at the end may have pluses of its own.
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 || parts[0] == "" {
		return nil, fmt.Errorf("key `%s`: malformed", vkey)
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 1+ed25519.PublicKeySize || key[0] != algCosignature {
		return nil, fmt.Errorf("key `%s`: not of type 0x04", vkey)
	}
	verifier := &cosigVerifier{parts[0], key[1:]}
	if verifier.vkey() != vkey {
		return nil, fmt.Errorf("key `%s`: its id is %08x", vkey, verifier.KeyHash())
	}
	return verifier, nil
}

// A cosigner is a note.Signer of type 0x04.
type cosigner struct {
	*cosigVerifier
	private ed25519.PrivateKey
}

func newCosigner(name string, seed []byte) *cosigner {
	private := ed25519.NewKeyFromSeed(seed)
	return &cosigner{&cosigVerifier{name, private.Public().(ed25519.PublicKey)}, private}
}

func (c *cosigner) Sign(text []byte) ([]byte, error) {
	timestamp := uint64(time.Now().Unix())
	var stamped [8]byte
	binary.BigEndian.PutUint64(stamped[:], timestamp)
	return append(stamped[:], ed25519.Sign(c.private, cosignedMessage(timestamp, text))...), nil
}

// cosignedAt returns the time of a cosignature that was verified before.
func cosignedAt(signature note.Signature) (uint64, error) {
	raw, err := base64.StdEncoding.DecodeString(signature.Base64)
	if err != nil || len(raw) < 4+8 {
		return 0, errors.New("cosignature: malformed")
	}
	return binary.BigEndian.Uint64(raw[4:]), nil
}

// openCosigned demands both: a signature of the log and one of the witness.
func openCosigned(message []byte, vkeys, cosigVkey string) (checkpoint, uint64, error) {
	known, err := parseVerifiers(vkeys)
	if err != nil {
		return checkpoint{}, 0, err
	}
	signed, _, err := openCheckpoint(message, known)
	if err != nil {
		return checkpoint{}, 0, err
	}
	witness, err := newCosigVerifier(cosigVkey)
	if err != nil {
		return checkpoint{}, 0, err
	}
	opened, err := note.Open(message, note.VerifierList(witness))
	if err != nil {
		return checkpoint{}, 0, fmt.Errorf("cosignature: %w", err)
	}
	at, err := cosignedAt(opened.Sigs[0])
	return signed, at, err
}

func verifyCosignedFile(vkeys, cosigVkey, file string, out io.Writer) error {
	message, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	signed, at, err := openCosigned(message, vkeys, cosigVkey)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, signed, at)
	return nil
}
