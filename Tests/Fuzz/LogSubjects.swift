import Fairness

/// A signed note and the checkpoint in it: what is read is written the same way.
struct NoteSubject: Subject {
  let name = "note"
  let tokens = ["\n", "\n\n", "— ", "a ", "=", "0", "20852163"]

  func check(_ input: [UInt8]) throws -> Bool {
    guard let note = try? SignedNote(utf8: input) else { return false }
    try expect(Array(note.description.utf8) == input, "the note is written another way")
    for signature in note.signatures {
      try expect(NoteSignature(signature.description) == signature, "another signature when it was written")
    }
    guard let checkpoint = try? Checkpoint(text: note.text) else { return true }
    try expect(checkpoint.text.utf8.elementsEqual(note.text.utf8), "the checkpoint is written another way")
    try expect(checkpoint.size >= 0, "a checkpoint of \(checkpoint.size) entries")
    return true
  }
}

/// A proof file: what is read is written the same way, and checking it comes to an end.
struct ProofSubject: Subject {
  let name = "proof"
  let tokens = ["\n", "\n\n", "index ", "extra ", "0", "9223372036854775807", "c2sp.org/tlog-proof@v1\n", "="]

  func check(_ input: [UInt8]) throws -> Bool {
    guard let proof = try? LogProof(utf8: input) else { return false }
    try expect(Array(proof.description.utf8) == input, "the proof is written another way")
    try expect(proof.index >= 0 && proof.path.count <= LogTree.longestProof, "the proof is out of bounds")
    if let checkpoint = try? Checkpoint(text: proof.checkpoint.text) {
      _ = proof.leads(from: proof.extra ?? [], to: checkpoint)
      _ = LogTree.verifyConsistency(
        from: proof.index, to: checkpoint.size, oldRoot: checkpoint.root, newRoot: checkpoint.root, path: proof.path)
    }
    return true
  }
}

/// A policy file: its bounds hold, and no quorum but none is met by nobody.
struct PolicySubject: Subject {
  let name = "policy"
  let tokens = ["log ", "witness ", "group ", "quorum ", "none", " all ", " any ", " 1 ", "a", "b", "\n", "\t", "#"]

  func check(_ input: [UInt8]) throws -> Bool {
    guard let policy = try? LogPolicy(bytes: input) else { return false }
    try expect(policy.logs.count <= LogPolicy.most && policy.witnesses.count <= LogPolicy.most, "too many")
    for key in policy.logs.map(\.key) + policy.witnesses.map(\.key) {
      try expect((try? LogVerifierKey(key.description)) == key, "another key when it was written")
    }
    let note = SignedNote(
      text: "a\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
      signatures: [NoteSignature(name: "a", keyID: 0, bytes: [1])])
    try expect((try? policy.verify(note)) == nil, "an unsigned checkpoint is believed")
    return true
  }
}

/// The path of a tile or a bundle: what is read is written the same way.
struct TilePathSubject: Subject {
  let name = "tile-path"
  let tokens = ["tile/", "entries/", "x", "000", "/", ".p/", "1", "255", "256"]

  func check(_ input: [UInt8]) throws -> Bool {
    let text = String(decoding: input, as: UTF8.self)
    guard let path = LogTilePath(text) else { return false }
    try expect(path.description.utf8.elementsEqual(text.utf8), "\(text) is written \(path)")
    try expect(path.number >= 0 && LogTilePath.widths.contains(path.width), "\(text) is out of bounds")
    return true
  }
}

/// A bundle of entries and the entries in it: what is read is written the same way.
struct EntryBundleSubject: Subject {
  let name = "entry-bundle"
  let tokens = ["\0\0", "\0\u{1}", "draw ", "root ", "keys era=", "2026-11-26", " - 0"]

  func check(_ input: [UInt8]) throws -> Bool {
    guard let entries = try? LogEntryBundle.decode(input) else { return false }
    try expect((try? LogEntryBundle.encode(entries)) == input, "the bundle is written another way")
    for line in entries {
      guard let entry = LogEntry(line) else { continue }
      try expect(entry.bytes == line, "an entry is written another way")
    }
    return true
  }
}

/// What a log sends to a witness: what is read is written the same way, and nothing unsigned is cosigned.
struct AddCheckpointSubject: Subject {
  let name = "add-checkpoint"
  let tokens = ["old ", "\n", "\n\n", "0", "9223372036854775807", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"]

  func check(_ input: [UInt8]) throws -> Bool {
    guard let request = try? AddCheckpoint(input) else { return false }
    try expect(Array(request.description.utf8) == input, "the request is written another way")
    try expect(request.oldSize >= 0 && request.path.count <= AddCheckpoint.longestPath, "the request is out of bounds")
    return true
  }
}
