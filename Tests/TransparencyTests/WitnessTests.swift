import Fairness
import Testing
import Transparency

private func signer(_ name: String, _ seed: UInt8) -> LogSigner {
  try! LogSigner(name: name, seed: Array(repeating: seed, count: 32), algorithm: .ed25519)
}

private let log = signer("example.com/log", 1)
private let other = signer("example.com/other", 2)
private let witness = Witness(logs: [log.verifierKey, other.verifierKey])

private func leaves(_ count: Int, fork: Int = .max) -> [MerkleHash] {
  (0..<count).map { .leaf(Array("\($0 < fork ? "entry" : "another") \($0)".utf8)) }
}

private func checkpoint(_ size: Int, fork: Int = .max, origin: String = "example.com/log") -> Checkpoint {
  let all = leaves(size, fork: fork)
  return Checkpoint(origin: origin, size: size, root: try! LogTree.root(size: size) { _ in all })
}

private func request(
  _ old: Int, _ size: Int, fork: Int = .max, by signers: [LogSigner] = [log], origin: String = "example.com/log",
  path: [MerkleHash]? = nil
) -> [UInt8] {
  let all = leaves(size, fork: fork)
  let text = checkpoint(size, fork: fork, origin: origin).text
  let proof = path ?? (old <= size ? try! LogTree.consistencyProof(from: old, to: size) { _ in all } : [])
  let note = SignedNote(text: text, signatures: signers.map { $0.sign(text) })
  return Array(AddCheckpoint(oldSize: old, path: proof, note: note).description.utf8)
}

private func decide(_ body: [UInt8], _ last: Checkpoint?) -> Witness.Decision { witness.decide(body) { _ in last } }

@Suite struct WitnessTests {
  @Test func aLogThatGrowsIsCosigned() {
    for old in 0...20 {
      for size in old...20 {
        let last = old == 0 ? nil : checkpoint(old)
        #expect(decide(request(old, size), last) == .cosign(checkpoint(size)), "\(old) to \(size)")
      }
    }
    // A checkpoint of no entries may have been the last.
    #expect(decide(request(0, 5), checkpoint(0)) == .cosign(checkpoint(5)))
  }

  @Test func anythingElseIsRefusedWithItsStatus() {
    let cases: [([UInt8], Checkpoint?, Witness.Refusal, Int)] = [
      (request(5, 9, by: [other], origin: "example.com/log"), checkpoint(5), .notSigned, 403),
      (request(5, 9, by: [signer("example.com/log", 3)]), checkpoint(5), .notSigned, 403),
      (request(5, 9, by: [signer("example.com/none", 1)], origin: "example.com/none"), nil, .unknownLog, 404),
      (request(9, 5), checkpoint(9), .shrinks, 400),
      (request(9, 5), checkpoint(5), .shrinks, 400),
      (request(0, 9), checkpoint(5), .otherSize(5), 409),
      (request(4, 9), checkpoint(5), .otherSize(5), 409),
      (request(6, 9), checkpoint(5), .otherSize(5), 409),
      (request(5, 9), nil, .otherSize(0), 409),
      (request(9, 9), checkpoint(5), .otherSize(5), 409),
      (request(5, 5, fork: 4), checkpoint(5), .otherRoot(size: 5), 409),
      (request(5, 9, fork: 4), checkpoint(5), .inconsistent, 422),
      (request(5, 9, path: []), checkpoint(5), .inconsistent, 422),
      (request(5, 9, path: leaves(3)), checkpoint(5), .inconsistent, 422),
      (request(0, 9, path: leaves(1)), nil, .inconsistent, 422),
      (request(5, 5, path: leaves(1)), checkpoint(5), .inconsistent, 422),
    ]
    for (body, last, refusal, status) in cases {
      #expect(decide(body, last) == .refuse(refusal))
      #expect(refusal.status == status)
      #expect(refusal.isSuspicious == [.inconsistent, .otherRoot(size: 5)].contains(refusal))
      #expect((refusal.size != nil) == (status == 409))
    }
  }

  @Test func strangersSignaturesArePassedOver() {
    #expect(decide(request(5, 9, by: [log, other]), checkpoint(5)) == .cosign(checkpoint(9)))
    // One that names the log's key and is not by it is no stranger's.
    let text = checkpoint(9).text
    let good = log.sign(text)
    let forged = NoteSignature(name: good.name, keyID: good.keyID, bytes: good.bytes.reversed())
    let note = SignedNote(text: text, signatures: [good, forged])
    let all = leaves(9)
    let path = try! LogTree.consistencyProof(from: 5, to: 9) { _ in all }
    let body = Array(AddCheckpoint(oldSize: 5, path: path, note: note).description.utf8)
    #expect(decide(body, checkpoint(5)) == .refuse(.notSigned))
  }

  @Test func eachLogHasItsOwnPast() {
    let pasts = ["example.com/log": checkpoint(5), "example.com/other": checkpoint(3, origin: "example.com/other")]
    let body = request(3, 4, by: [other], origin: "example.com/other")
    #expect(
      witness.decide(body) { pasts[$0] } == .cosign(checkpoint(4, origin: "example.com/other")))
    #expect(witness.decide(request(3, 4)) { pasts[$0] } == .refuse(.otherSize(5)))
  }

  @Test func aMalformedRequestIsRefused() {
    let good = String(decoding: request(5, 9), as: UTF8.self)
    let hash = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
    for bad in [
      "", "\n", "old 5\n", "old 5\n\n", good.replacing("old 5\n", with: "old 05\n"),
      good.replacing("old 5\n", with: "old -5\n"), good.replacing("old 5\n", with: "old 9223372036854775808\n"),
      good.replacing("old 5\n", with: "old  5\n"), good.replacing("old 5\n", with: "new 5\n"),
      good.replacing("old 5\n", with: ""), good.replacing("old 5\n", with: "old 5\nAAAA\n"),
      good.replacing("\n\n", with: "\n"), good.replacing("\n", with: "\r\n"), String(good.dropLast()),
      good.replacing("old 5\n", with: "old 5\n" + String(repeating: hash, count: 64)),
      good.replacing("\n9\n", with: "\n09\n"), good + "x\n",
    ] {
      guard case .refuse(.malformed) = decide(Array(bad.utf8), checkpoint(5)) else {
        Issue.record("\(bad) was not refused as malformed")
        continue
      }
    }
    let large = String(repeating: "a", count: AddCheckpoint.longest)
    #expect(throws: AddCheckpoint.Failure.self) { try AddCheckpoint(Array((good + large).utf8)) }
    #expect(throws: Never.self) { try AddCheckpoint(Array(good.utf8)) }
    #expect(try! AddCheckpoint(Array(good.utf8)).description == good)
  }
}
