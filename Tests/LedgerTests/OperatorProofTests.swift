import Ledger
import Testing

@Suite struct OperatorProofTests {
  private let proof: OperatorProof
  private let now: Milliseconds = 1_795_727_691_491

  init() throws { proof = OperatorProof(masterKey: try MasterKey(bytes: Array(0..<32))) }

  @Test func itIsValidForMinutes() {
    let text = proof.text(at: now)
    for offset in [0, 1, -1, OperatorProof.validity, -OperatorProof.validity] {
      #expect(proof.isValid(text, at: now + offset))
    }
    for offset in [OperatorProof.validity + 1, -OperatorProof.validity - 1, 1 << 40, -(1 << 40)] {
      #expect(!proof.isValid(text, at: now + offset))
    }
  }

  @Test func anotherMasterKeyMakesAnotherProof() throws {
    let other = OperatorProof(masterKey: try MasterKey(bytes: Array(1..<33)))
    #expect(!proof.isValid(other.text(at: now), at: now))
  }

  @Test func nothingElseIsValid() {
    let text = proof.text(at: now)
    let code = text.drop { $0 != "." }
    for wrong in [
      "", ".", "\(now)", "\(now).", String(code), "\(now + 1)\(code)", "+\(text)", "0\(text)", "\(text).",
      " \(text)", "\(now).AAAA", "99999999999999999999\(code)", "-1\(code)", String(repeating: "1", count: 100_000),
    ] {
      #expect(!proof.isValid(wrong, at: now), "\(wrong.prefix(100))")
    }
  }
}
