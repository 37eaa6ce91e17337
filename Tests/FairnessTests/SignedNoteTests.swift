import Fairness
import Testing

/// The example of golang.org/x/mod/sumdb/note.
private let neumann = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
private let neumannText = """
  If you think cryptography is the answer to your problem,
  then you don't know what your problem is.

  """
private let neumannLine =
  "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="

/// A checkpoint as it was served by a log of certificates, with the cosignature of a public witness.
private let served = """
  arche2025h1.staging.ct.transparency.dev
  1432088532
  U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

  — arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
  — arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
  — remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==

  """
private let servedLog = "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"
private let servedWitness = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"

@Suite struct LogVerifierKeyTests {
  @Test(arguments: [neumann, servedLog, servedWitness])
  func isWrittenAsItWasRead(text: String) throws {
    let key = try LogVerifierKey(text)
    #expect(key.description == text)
    #expect(try LogVerifierKey(name: key.name, algorithm: key.algorithm, publicKey: key.publicKey) == key)
  }

  @Test func hasItsParts() throws {
    let key = try LogVerifierKey(neumann)
    #expect(key.name == "PeterNeumann" && key.keyID == 0xc74f_20a3 && key.algorithm == .ed25519)
    #expect(try LogVerifierKey(servedWitness).algorithm == .cosignature)
  }

  /// No part of a key is a key, and none with one bit changed.
  @Test func aDamagedKeyIsRefused() {
    let bytes = Array(neumann.utf8)
    for start in bytes.indices {
      for end in start...bytes.count where end - start < bytes.count {
        #expect(throws: LogVerifierKey.Failure.self) {
          try LogVerifierKey(String(decoding: bytes[start..<end], as: UTF8.self))
        }
      }
      for bit in 0..<8 {
        var changed = bytes
        changed[start] ^= 1 << bit
        #expect(throws: LogVerifierKey.Failure.self) { try LogVerifierKey(String(decoding: changed, as: UTF8.self)) }
      }
    }
    #expect(throws: LogVerifierKey.Failure.malformed) { try LogVerifierKey(neumann + "AAAA") }
    #expect(throws: LogVerifierKey.Failure.malformed) {
      try LogVerifierKey(neumann.replacing("c74f20a3", with: "C74F20A3"))
    }
    #expect(throws: LogVerifierKey.Failure.wrongKeyID(expected: 0xc74f_20a3)) {
      try LogVerifierKey(neumann.replacing("c74f20a3", with: "c74f20a4"))
    }
    #expect(throws: LogVerifierKey.Failure.unknownAlgorithm(0x65)) {
      try LogVerifierKey("PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    }
  }

  @Test func namesAreHeldToTheRules() {
    for name in ["", "a b", "a+b", "a\nb", "a\tb", "a\u{a0}b", "a\u{2003}b", "a\u{85}b", "a\0", "\u{3000}"] {
      #expect(!LogVerifierKey.isName(name), "\(name)")
      #expect(throws: LogVerifierKey.Failure.invalidName) {
        try LogVerifierKey(name: name, algorithm: .ed25519, publicKey: Array(repeating: 1, count: 32))
      }
    }
    for name in ["a", "example.com/log/0", "é", "日本", "—"] { #expect(LogVerifierKey.isName(name)) }
    #expect(LogVerifierKey.isName(String(repeating: "a", count: 1024)))
    #expect(!LogVerifierKey.isName(String(repeating: "a", count: 1025)))
  }
}

@Suite struct SignedNoteTests {
  @Test func aPublishedNote() throws {
    let note = try SignedNote("\(neumannText)\n\(neumannLine)\n")
    let key = try LogVerifierKey(neumann)
    #expect(note.text == neumannText && note.signatures.count == 1)
    #expect(note.description == "\(neumannText)\n\(neumannLine)\n")
    #expect(key.accepts(note.signatures[0], of: note.text))
    #expect(!key.accepts(note.signatures[0], of: note.text + "\n"))
    #expect(key.time(of: note.signatures[0], of: note.text) == nil)
    // The example's secret key.
    let seed = try MerkleHash(hex: "810a1402d5146c8d84f2443330f54080ebf98ee17d9c74f6252fc5d5c7283173".utf8).bytes
    let signer = try LogSigner(name: "PeterNeumann", seed: seed, algorithm: .ed25519)
    #expect(signer.verifierKey == key)
    #expect(signer.sign(neumannText).description == neumannLine)
  }

  @Test func aServedCheckpoint() throws {
    let note = try SignedNote(served)
    let checkpoint = try Checkpoint(text: note.text)
    #expect(checkpoint.origin == "arche2025h1.staging.ct.transparency.dev" && checkpoint.size == 1_432_088_532)
    #expect(checkpoint.text == note.text && note.description == served)
    let (log, witness) = (try LogVerifierKey(servedLog), try LogVerifierKey(servedWitness))
    #expect(note.signatures.map { log.accepts($0, of: note.text) } == [false, true, false])
    #expect(note.signatures.map { log.isNamed(by: $0) } == [false, true, false])
    #expect(note.signatures.map { witness.time(of: $0, of: note.text) } == [nil, nil, 1_779_573_024])
  }

  @Test func signersSign() throws {
    let seed = (0..<32).map { UInt8($0) }
    let log = try LogSigner(name: "example.com/log/0", seed: seed, algorithm: .ed25519)
    let witness = try LogSigner(name: "witness.example", seed: seed, algorithm: .cosignature)
    let text = Checkpoint(origin: "example.com/log/0", size: 0, root: LogTree.emptyRoot).text
    let note = try SignedNote(
      SignedNote(text: text, signatures: [log.sign(text), witness.cosign(text, at: 1_700_000_000)]).description)
    #expect(log.verifierKey.accepts(note.signatures[0], of: text))
    #expect(witness.verifierKey.time(of: note.signatures[1], of: text) == 1_700_000_000)
    #expect(!log.verifierKey.accepts(note.signatures[1], of: text))
    for index in 0..<72 {
      var bytes = note.signatures[1].bytes
      bytes[index] ^= 1
      let changed = NoteSignature(name: "witness.example", keyID: witness.verifierKey.keyID, bytes: bytes)
      #expect(witness.verifierKey.time(of: changed, of: text) == nil)
    }
    #expect(throws: (any Error).self) {
      try LogSigner(name: "a", seed: Array(seed.dropLast()), algorithm: .ed25519)
    }
    #expect(throws: LogVerifierKey.Failure.invalidName) { try LogSigner(name: "a b", seed: seed, algorithm: .ed25519) }
    for shown in ["\(log)", String(reflecting: log), String(describing: Mirror(reflecting: log).children.map { $0 })] {
      #expect(!shown.contains("0, 1, 2, 3") && !shown.contains("00010203") && !shown.contains("PrivateKey"))
    }
  }

  @Test func theLastEmptyLineDivides() throws {
    let note = try SignedNote("a\n\n— b c2ln\n\n\(neumannLine)\n")
    #expect(note.text == "a\n\n— b c2ln\n")
    #expect(try SignedNote("\n\n\(neumannLine)\n").text == "\n")
    #expect(try SignedNote("\n\n\n\(neumannLine)\n").text == "\n\n")
  }

  @Test func aMalformedNoteIsRefused() {
    let note = "\(neumannText)\n\(neumannLine)\n"
    func refuses(_ text: String, _ failure: SignedNote.Failure, _ line: Int = #line) {
      #expect(throws: failure, "line \(line)") { try SignedNote(text) }
    }
    refuses("", .noSignatures)
    refuses("\n", .noSignatures)
    refuses("\n\n", .noSignatures)
    refuses("\n\n\n", .malformedSignature(line: 1))
    refuses(neumannText, .noSignatures)
    refuses(neumannText + "\n", .noSignatures)
    refuses(String(note.dropLast()), .noSignatures)
    refuses(note + "\n", .malformedSignature(line: 2))
    refuses(neumannText + neumannLine + "\n", .noSignatures)
    refuses(note.replacing("\n", with: "\r\n"), .controlCharacter)
    refuses("\t" + note, .controlCharacter)
    refuses(note + "\0\n", .controlCharacter)
    refuses(note + "x\n", .malformedSignature(line: 2))
    for line in [
      "- a c2lnbmE=", "—a c2lnbmE=", "—  a c2lnbmE=", "— a  c2lnbmE=", "— a c2lnbmE= ", "— a", "— a ", "—  c2lnbmE=",
      "— a c2lnbmE", "— a c2lnbmF=", "— a c2lnbg==", "— a+b c2lnbmE=", "— a\u{a0}b c2lnbmE=", "— a c2l-bmE=",
      " — a c2lnbmE=",
    ] { refuses("text\n\n\(line)\n", .malformedSignature(line: 1)) }
    #expect(throws: Never.self) { try SignedNote("text\n\n— a c2lnbmE=\n") }
    #expect(throws: SignedNote.Failure.notUTF8) { try SignedNote(utf8: [0xff] + Array(note.utf8)) }
  }

  @Test func aNoteIsBounded() {
    let line = "\(neumannLine)\n"
    let most = "a\n\n" + String(repeating: line, count: 100)
    #expect(throws: Never.self) { try SignedNote(most) }
    #expect(throws: SignedNote.Failure.tooManySignatures) { try SignedNote(most + line) }
    let room = SignedNote.longest - line.utf8.count - 2
    #expect(throws: Never.self) { try SignedNote(String(repeating: "a", count: room) + "\n\n" + line) }
    #expect(throws: SignedNote.Failure.tooLong) {
      try SignedNote(String(repeating: "a", count: room + 1) + "\n\n" + line)
    }
  }

  /// Swift's strings compare by canonical equivalence; keys and notes must not.
  @Test func spellingsAreToldApart() throws {
    let composed = try LogVerifierKey(name: "\u{e9}", algorithm: .ed25519, publicKey: Array(repeating: 1, count: 32))
    let signature = NoteSignature(name: "e\u{301}", keyID: composed.keyID, bytes: [1])
    #expect(!composed.isNamed(by: signature))
    #expect(signature != NoteSignature(name: "\u{e9}", keyID: composed.keyID, bytes: [1]))
    let one = SignedNote(text: "\u{e9}\n", signatures: [signature])
    #expect(one != SignedNote(text: "e\u{301}\n", signatures: [signature]))
    let root = LogTree.emptyRoot
    #expect(Checkpoint(origin: "\u{e9}", size: 0, root: root) != Checkpoint(origin: "e\u{301}", size: 0, root: root))
  }
}

@Suite struct CheckpointTests {
  private let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="

  @Test func isWrittenAsItWasRead() throws {
    for text in [
      "example.com/behind-the-sofa\n20852163\n\(root)\n", "a\n0\n\(root)\nx\ny z\n",
      " \n9223372036854775807\n\(root)\n",
    ] { #expect(try Checkpoint(text: text).text == text) }
    #expect(try Checkpoint(text: "a\n0\n\(root)\nx\ny z\n").extensions == ["x", "y z"])
  }

  @Test func anythingElseIsRefused() {
    for text in [
      "", "\n", "a\n1\n", "a\n1\n\(root)", "\n1\n\(root)\n", "a\n\n\(root)\n", "a\n1\n\n", "a\n1\n\(root)\n\n",
      "a\n1\n\(root)\nx", "a\n1\n\(root)\n\nx\n", "\na\n1\n\(root)\n",
    ] { #expect(throws: Checkpoint.Failure.malformed, "\(text)") { try Checkpoint(text: text) } }
    for size in ["01", "-1", "+1", " 1", "1 ", "1.0", "0x1", "9223372036854775808", "99999999999999999999", "x", "١"] {
      #expect(throws: Checkpoint.Failure.invalidSize, "\(size)") { try Checkpoint(text: "a\n\(size)\n\(root)\n") }
    }
    for root in [
      "AAAA", String(root.dropLast()), root + " ", root + "AAAA", "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=",
    ] {
      #expect(throws: Checkpoint.Failure.invalidRoot, "\(root)") { try Checkpoint(text: "a\n1\n\(root)\n") }
    }
  }
}
