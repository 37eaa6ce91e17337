import Fairness
import Testing

private func signer(_ name: String, _ seed: UInt8, _ algorithm: LogVerifierKey.Algorithm = .cosignature) -> LogSigner {
  try! LogSigner(name: name, seed: Array(repeating: seed, count: 32), algorithm: algorithm)
}

private let log = signer("example.com/log/0", 1, .ed25519)
private let witnesses = (0..<5).map { signer("witness\($0).example", UInt8(10 + $0)) }

/// A log of some entries, cosigned by the witnesses of those places.
private struct Example {
  var entries = (0..<11).map { Array("draw \($0)".utf8) }
  var origin = "example.com/log/0"
  var signers = [log]
  var cosigners: [Int] = []

  var checkpoint: SignedNote {
    let leaves = entries.map { MerkleHash.leaf($0) }
    let root = try! LogTree.root(size: entries.count) { _ in leaves }
    let text = Checkpoint(origin: origin, size: entries.count, root: root).text
    return SignedNote(
      text: text,
      signatures: signers.map { $0.sign(text) } + cosigners.map { witnesses[$0].cosign(text, at: 1000 + $0) })
  }

  func proof(_ index: Int, extra: [UInt8]? = nil) -> LogProof {
    let leaves = entries.map { MerkleHash.leaf($0) }
    let path = try! LogTree.inclusionProof(index: index, size: entries.count) { _ in leaves }
    return LogProof(extra: extra, index: index, path: path, checkpoint: checkpoint)
  }
}

@Suite struct LogProofTests {
  @Test func isWrittenAsItWasRead() throws {
    let example = Example(cosigners: [0, 3])
    for extra in [nil, [], Array("text\n".utf8)] as [[UInt8]?] {
      for index in example.entries.indices {
        let proof = example.proof(index, extra: extra)
        #expect(try LogProof(proof.description) == proof)
        #expect(try LogProof(proof.description).description == proof.description)
        #expect(
          try proof.verify(entry: example.entries[index], policy: LogPolicy(log: log.verifierKey)).checkpoint.size == 11
        )
      }
    }
    #expect(
      example.proof(10, extra: Array("text\n".utf8)).description.hasPrefix(
        "c2sp.org/tlog-proof@v1\nextra dGV4dAo=\nindex 10\n"))
  }

  @Test func aLogOfOneEntryHasNoPath() throws {
    let proof = Example(entries: [[7]]).proof(0)
    #expect(proof.description.hasPrefix("c2sp.org/tlog-proof@v1\nindex 0\n\nexample.com/log/0\n1\n"))
    #expect(
      try LogProof(proof.description).verify(entry: [7], policy: LogPolicy(log: log.verifierKey)).log
        == log.verifierKey.name)
  }

  @Test func anythingElseIsRefused() throws {
    let text = Example().proof(4, extra: [1]).description
    func refuses(_ text: String, _ failure: LogProof.Failure, _ line: Int = #line) {
      #expect(throws: failure, "line \(line)") { try LogProof(text) }
    }
    refuses("", .unknownFormat)
    refuses(text.replacing("@v1", with: "@v2"), .unknownFormat)
    refuses(text.replacing("\n", with: "\r\n"), .unknownFormat)
    refuses("\n" + text, .unknownFormat)
    refuses(text.replacing("extra AQ==", with: "extra AQ"), .invalidExtra)
    refuses(text.replacing("extra AQ==", with: "extra  AQ=="), .invalidExtra)
    refuses(text.replacing("extra AQ==", with: "extra AR=="), .invalidExtra)
    refuses(text.replacing("extra", with: "extras"), .invalidIndex)
    for index in ["04", "-4", "+4", "x", "", "9223372036854775808"] {
      refuses(text.replacing("index 4\n", with: "index \(index)\n"), .invalidIndex)
    }
    refuses(text.replacing("index 4\n", with: ""), .invalidIndex)
    refuses(text.replacing("index 4\n", with: "index 4\nAAAA\n"), .invalidHash(line: 1))
    refuses("c2sp.org/tlog-proof@v1\nindex 4\n", .noCheckpoint)
    refuses("c2sp.org/tlog-proof@v1\nindex 4\n\n", .note(.noSignatures))
    let hash = Array(repeating: "A", count: 43).joined() + "=\n"
    let many = { "c2sp.org/tlog-proof@v1\nindex 4\n" + String(repeating: hash, count: $0) + "\n" }
    refuses(many(64), .note(.noSignatures))
    refuses(many(65), .pathTooLong)
    refuses(String(repeating: "a", count: LogProof.longest + 1), .tooLong)
  }

  @Test func theStepThatFailsIsNamed() throws {
    let example = Example()
    let policy = LogPolicy(log: log.verifierKey)
    let proof = example.proof(4)
    #expect(throws: LogProof.Refusal.entryNotInTree(index: 4, size: 11)) {
      try proof.verify(entry: example.entries[5], policy: policy)
    }
    for place in proof.path.indices {
      var path = proof.path
      path[place] = .leaf([])
      #expect(throws: LogProof.Refusal.entryNotInTree(index: 4, size: 11)) {
        try LogProof(extra: nil, index: 4, path: path, checkpoint: proof.checkpoint)
          .verify(entry: example.entries[4], policy: policy)
      }
    }
    #expect(throws: LogProof.Refusal.wrongOrigin("example.com/log/1", expected: ["example.com/log/0"])) {
      try Example(origin: "example.com/log/1").proof(4).verify(entry: example.entries[4], policy: policy)
    }
    // Another key, even under the log's name; and a witness's.
    for others in [[signer("example.com/log/0", 9, .ed25519)], [signer("example.com/log/1", 1, .ed25519)]] {
      #expect(throws: LogProof.Refusal.notSignedByLog("example.com/log/0")) {
        try Example(signers: others, cosigners: [0]).proof(4).verify(entry: example.entries[4], policy: policy)
      }
    }
    let signature = proof.checkpoint.signatures[0]
    var bytes = signature.bytes
    bytes[20] ^= 1
    let forged = NoteSignature(name: signature.name, keyID: signature.keyID, bytes: bytes)
    for signatures in [[forged], [signature, forged], [forged, signature]] {
      #expect(throws: LogProof.Refusal.invalidSignature(by: "example.com/log/0")) {
        try policy.verify(SignedNote(text: proof.checkpoint.text, signatures: signatures))
      }
    }
    let text = "example.com/log/0\n11\nAAAA\n"
    #expect(throws: LogProof.Refusal.malformedCheckpoint(.invalidRoot)) {
      try LogProof(extra: nil, index: 4, path: [], checkpoint: SignedNote(text: text, signatures: [log.sign(text)]))
        .verify(entry: [], policy: policy)
    }
    #expect(
      LogProof.Refusal.quorumMissing(quorum: "both", cosignedBy: ["w.example"]).description
        == "the policy asks for the cosignatures of both, and only w.example cosigned")
  }
}

@Suite struct LogPolicyTests {
  private let keys = witnesses.map(\.verifierKey.description)
  private var named: String {
    "log \(log.verifierKey) https://example.com/log/0/\n"
      + keys.enumerated().map { "witness w\($0) \($1)\n" }.joined()
  }

  /// Which sets of witnesses meet a quorum, by trying all.
  private func met(_ lines: String) throws -> [Set<Int>] {
    let policy = try LogPolicy(named + lines)
    return (0..<32).map { bits in Set((0..<5).filter { bits >> $0 & 1 == 1 }) }.filter { cosigners in
      do {
        let verified = try policy.verify(Example(cosigners: cosigners.sorted().reversed()).checkpoint)
        #expect(verified.cosignatures.map(\.name) == cosigners.sorted().map { "witness\($0).example" })
        #expect(verified.cosignatures.map(\.time) == cosigners.sorted().map { 1000 + $0 })
        return true
      } catch { return false }
    }
  }

  @Test func quorumsAreWhatTheySay() throws {
    #expect(try met("quorum none\n").count == 32)
    #expect(try met("quorum w3\n").allSatisfy { $0.contains(3) })
    #expect(try met("quorum w3").count == 16)
    #expect(try met("group g all w0 w1\nquorum g\n").allSatisfy { $0.isSuperset(of: [0, 1]) })
    #expect(try met("group g any w0 w1\nquorum g\n").count == 24)
    #expect(try met("group g 2 w0 w1 w2\nquorum g\n").allSatisfy { $0.intersection([0, 1, 2]).count >= 2 })
    let nested = try met("group X 2 w0 w1 w2\ngroup Y any w3 w4\n\n  # both\n\tgroup Z all X\tY \nquorum Z\n")
    #expect(nested.count == 12)
    #expect(nested.allSatisfy { $0.intersection([0, 1, 2]).count >= 2 && !$0.isDisjoint(with: [3, 4]) })
  }

  @Test func strangersDoNotCount() throws {
    let policy = try LogPolicy("log \(log.verifierKey)\nwitness a \(keys[0])\nquorum a\n")
    #expect(throws: LogProof.Refusal.quorumMissing(quorum: "a", cosignedBy: [])) {
      try policy.verify(Example(cosigners: [1, 2, 3]).checkpoint)
    }
    var note = Example(cosigners: [0]).checkpoint
    var bytes = note.signatures[1].bytes
    bytes[7] ^= 1  // the time
    note.signatures[1] = NoteSignature(name: "witness0.example", keyID: note.signatures[1].keyID, bytes: bytes)
    #expect(throws: LogProof.Refusal.invalidSignature(by: "witness0.example")) { try policy.verify(note) }
  }

  /// A key of an algorithm that came later may stand in a policy; it is as if that witness never cosigned.
  @Test func otherAlgorithmsDoNotCount() throws {
    let later = "pq.example+173116ae+BhpBase0"
    let lines = { (quorum: String) in
      "log \(log.verifierKey)\nwitness a \(keys[0])\nwitness b \(later)\ngroup g any a b\nquorum \(quorum)\n"
    }
    let note = Example(cosigners: [0]).checkpoint
    #expect(try LogPolicy(lines("g")).verify(note).cosignatures.map(\.name) == ["witness0.example"])
    #expect(throws: LogProof.Refusal.quorumMissing(quorum: "b", cosignedBy: ["witness0.example"])) {
      try LogPolicy(lines("b")).verify(note)
    }
    #expect(throws: LogPolicy.Failure.self) { try LogPolicy("log \(later)\nquorum none\n") }
  }

  @Test func logsAreAlternatives() throws {
    let second = signer("example.com/log/1", 3, .ed25519)
    let policy = try LogPolicy("log \(log.verifierKey)\nlog \(second.verifierKey)\nquorum none\n")
    #expect(policy.logs.map(\.key) == [log.verifierKey, second.verifierKey])
    #expect(
      try policy.verify(Example(origin: "example.com/log/1", signers: [second]).checkpoint).log == "example.com/log/1")
    // One log's key does not sign for the other.
    #expect(throws: LogProof.Refusal.notSignedByLog("example.com/log/1")) {
      try policy.verify(Example(origin: "example.com/log/1", signers: [log]).checkpoint)
    }
    #expect(throws: LogProof.Refusal.wrongOrigin("example.com/log/1", expected: ["example.com/log/0"])) {
      try policy.trusting(log.verifierKey).verify(Example(origin: "example.com/log/1", signers: [second]).checkpoint)
    }
    #expect(throws: LogProof.Refusal.wrongOrigin("example.com/log/0", expected: [])) {
      try LogPolicy("quorum none\n").verify(Example().checkpoint)
    }
  }

  @Test func namesAreBytes() throws {
    let policy = try LogPolicy(
      bytes: Array("witness \u{e9} \(keys[0])\nwitness e\u{301} \(keys[1])\nwitness ".utf8) + [0xff]
        + Array(" \(keys[2]) https://é.example\ngroup all all \u{e9} ".utf8) + [0xff] + Array("\nquorum all\n".utf8))
    #expect(policy.witnesses.map(\.url) == [nil, nil, "https://é.example"])
    #expect(policy.quorumName == "all")
  }

  @Test func theWrongLineIsNamed() throws {
    let (log, cosigner) = (log.verifierKey.description, keys[0])
    func refuses(_ text: String, _ line: Int, _ word: String, _ at: Int = #line) {
      let failure = #expect(throws: LogPolicy.Failure.self, "line \(at)") { try LogPolicy(text) }
      #expect(
        failure?.line == line && failure?.reason.contains(word) == true, "line \(at): \(String(describing: failure))")
    }
    refuses("", 1, "without a quorum")
    refuses("log \(log)\n", 2, "without a quorum")
    refuses("# a\n\nlogs \(log)\n", 3, "logs")
    refuses("log\nquorum none\n", 1, "<vkey>")
    refuses("log \(log) a b\n", 1, "<vkey>")
    refuses("log \(log)x\n", 1, "verifier key")
    refuses("log \(log)\nlog \(log)\n", 2, "same public key")
    refuses("quorum none\nquorum none\n", 2, "one quorum")
    refuses("quorum x\nwitness x \(cosigner)\n", 1, "defines x")
    refuses("quorum\n", 1, "quorum <name>")
    refuses("witness a \(log)\n", 1, "algorithm 4")
    refuses("witness none \(cosigner)\n", 1, "none")
    refuses("witness a \(cosigner)\nwitness b \(cosigner)\n", 2, "same public key")
    refuses("witness a \(cosigner)\nwitness a \(keys[1])\n", 2, "defined already")
    refuses("witness a\n", 1, "witness <name>")
    refuses("witness a \(cosigner)\ngroup a any a\n", 2, "defined already")
    refuses("group g any g\n", 1, "defines g")
    refuses("group g any none\n", 1, "defines none")
    refuses("group g any\n", 1, "group <name>")
    for threshold in ["0", "2", "-1", "01", "most"] {
      refuses("witness a \(cosigner)\ngroup g \(threshold) a\n", 2, "from 1")
    }
    refuses("witness a \(cosigner)\ngroup g any a a\n", 2, "already")
    refuses("witness a \(cosigner)\ngroup g any a\ngroup h any a\n", 3, "already")
    refuses("quorum none\r\n", 1, "control characters")
    refuses("quorum none\n#\0\n", 2, "control characters")
    refuses(String(repeating: "#", count: LogPolicy.longest + 1), 1, "at most")
    let many = (0..<257).map { "witness n\($0) \(signer("n", UInt8($0 % 256)).verifierKey)\n" }
    refuses((0..<256).map { many[$0] }.joined() + many[0].replacing("n0", with: "x"), 257, "same public key")
  }

  @Test func sizesAreBounded() throws {
    func key(_ number: Int) -> String {
      let bytes = (0..<32).map { UInt8($0 == 0 ? number & 255 : $0 == 1 ? number >> 8 : 7) }
      return try! LogVerifierKey(name: "n", algorithm: .cosignature, publicKey: bytes).description
    }
    func lines(_ count: Int, _ line: (Int) -> String) -> String { (0..<count).map { line($0) + "\n" }.joined() }
    #expect(try LogPolicy(lines(256) { "witness n\($0) \(key($0))" } + "quorum n9\n").witnesses.count == 256)
    #expect(throws: LogPolicy.Failure.self) {
      try LogPolicy(lines(257) { "witness n\($0) \(key($0))" } + "quorum n9\n")
    }
    #expect(throws: LogPolicy.Failure.self) { try LogPolicy(lines(257) { "log \(key($0))" } + "quorum none\n") }
    let chain = { (count: Int) in
      "witness g0 \(key(0))\n" + lines(count) { "group g\($0 + 1) any g\($0)" } + "quorum g\(count)\n"
    }
    #expect(throws: Never.self) { try LogPolicy(chain(256)) }
    #expect(throws: LogPolicy.Failure.self) { try LogPolicy(chain(257)) }
  }
}
