// Golog reads a tiled log and checks all of it with the packages that read Go's checksum database.
//
//	golog VKEY PREFIX [checkpoint FILE | proof FILE]…
//
// It fetches the log's checkpoint, all its entries and the tiles that prove them. Each checkpoint FILE must be of a prefix
// of that log, and the entry of each proof FILE (c2sp.org/tlog-proof) must be in it.
package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

func main() {
	if len(os.Args) < 3 || len(os.Args)%2 == 0 {
		fail("usage: golog VKEY PREFIX [checkpoint FILE | proof FILE]…")
	}
	verifier, err := note.NewVerifier(os.Args[1])
	check("the verifier key", err)
	log := &log{prefix: os.Args[2], verifier: verifier}
	text, err := log.fetch("checkpoint")
	check("the checkpoint", err)
	tree := log.open(text)
	entries := log.entries(tree)
	fmt.Printf("%d entries of the tree %v\n", tree.N, tree.Hash)
	for arguments := os.Args[3:]; len(arguments) > 0; arguments = arguments[2:] {
		text, err := os.ReadFile(arguments[1])
		check(arguments[1], err)
		switch arguments[0] {
		case "checkpoint":
			log.prefixOf(tree, log.open(text))
		case "proof":
			log.proof(entries, string(text))
		default:
			fail("there is no " + arguments[0])
		}
	}
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(1)
}

func check(what string, err error) {
	if err != nil {
		fail(what + ": " + err.Error())
	}
}

type log struct {
	prefix   string
	verifier note.Verifier
}

func (l *log) fetch(path string) ([]byte, error) {
	response, err := http.Get(l.prefix + "/" + path)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, response.Status)
	}
	return io.ReadAll(response.Body)
}

// open returns the tree of a checkpoint, whose name and signature must be the log's.
func (l *log) open(checkpoint []byte) tlog.Tree {
	opened, err := note.Open(checkpoint, note.VerifierList(l.verifier))
	check("the checkpoint's signature", err)
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[3] != "" || lines[0] != l.verifier.Name() {
		fail("the checkpoint is not of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check("the checkpoint's size", err)
	hash, err := tlog.ParseHash(lines[2])
	check("the checkpoint's root", err)
	return tlog.Tree{N: size, Hash: hash}
}

// path is the one of tlog-tiles, which is sumdb's without the height and with another name for data.
func path(tile tlog.Tile) string {
	rest := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", height))
	return "tile/" + strings.Replace(rest, "data/", "entries/", 1)
}

// The log is a tlog.TileReader.

func (l *log) Height() int { return height }

func (l *log) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var read [][]byte
	for _, tile := range tiles {
		data, err := l.fetch(path(tile))
		if err != nil {
			return nil, err
		}
		read = append(read, data)
	}
	return read, nil
}

func (l *log) SaveTiles([]tlog.Tile, [][]byte) {}

// entries returns all entries of a tree, each of which has been proven to be in it.
func (l *log) entries(tree tlog.Tree) []tlog.Hash {
	reader := tlog.TileHashReader(tree, l)
	var entries, stored []tlog.Hash
	for from := int64(0); from < tree.N; from += 1 << height {
		width := tree.N - from
		if width > 1<<height {
			width = 1 << height
		}
		data, err := l.fetch(path(tlog.Tile{H: height, L: -1, N: from >> height, W: int(width)}))
		check("entries", err)
		var indexes []int64
		for number := from; number < from+width; number++ {
			if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
				fail(fmt.Sprintf("entry %d is cut off", number))
			}
			end := 2 + int(binary.BigEndian.Uint16(data))
			hash := tlog.RecordHash(data[2:end])
			data = data[end:]
			entries = append(entries, hash)
			more, err := tlog.StoredHashesForRecordHash(number, hash, hashes(stored))
			check("hashes", err)
			stored = append(stored, more...)
			indexes = append(indexes, tlog.StoredHashIndex(0, number))
		}
		if len(data) > 0 {
			fail("a bundle has too many entries")
		}
		proven, err := reader.ReadHashes(indexes)
		check("the tiles", err)
		for i, hash := range proven {
			if hash != entries[from+int64(i)] {
				fail(fmt.Sprintf("entry %d is not the one in the tree", from+int64(i)))
			}
		}
		// A record and its proof from tiles, and not only its hash.
		proof, err := tlog.ProveRecord(tree.N, from, reader)
		check("a proof", err)
		check("a proof", tlog.CheckRecord(proof, tree.N, tree.Hash, from, entries[from]))
	}
	root, err := tlog.TreeHash(tree.N, hashes(stored))
	check("the root", err)
	if root != tree.Hash {
		fail("the entries give another root")
	}
	return entries
}

type hashes []tlog.Hash

func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var read []tlog.Hash
	for _, index := range indexes {
		if index >= int64(len(h)) {
			return nil, fmt.Errorf("there is no hash %d", index)
		}
		read = append(read, h[index])
	}
	return read, nil
}

func (l *log) prefixOf(tree, older tlog.Tree) {
	proof, err := tlog.ProveTree(tree.N, older.N, tlog.TileHashReader(tree, l))
	check("a proof of an older tree", err)
	check("the older tree", tlog.CheckTree(proof, tree.N, tree.Hash, older.N, older.Hash))
	fmt.Printf("a checkpoint of %d is a prefix\n", older.N)
}

func (l *log) proof(entries []tlog.Hash, text string) {
	head, checkpoint, found := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		fail("this is no proof")
	}
	tree := l.open([]byte(checkpoint))
	extra, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	check("the proof's text", err)
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	check("the proof's index", err)
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		check("the proof's hashes", err)
		proof = append(proof, hash)
	}
	entry := tlog.RecordHash([]byte(fmt.Sprintf("draw %x", sha256.Sum256(extra))))
	if index >= int64(len(entries)) || entries[index] != entry {
		fail("the proof is of another entry")
	}
	check("the proof", tlog.CheckRecord(proof, tree.N, tree.Hash, index, entry))
	fmt.Printf("proof of entry %d under a checkpoint of %d\n", index, tree.N)
}
