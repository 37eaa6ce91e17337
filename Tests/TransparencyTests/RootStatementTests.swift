import Fairness
import Foundation
import Ledger
import Testing
import Transparency

let masterKey = try! MasterKey(bytes: Array(1...32))

@Suite struct RootStatementTests {
  private let statement = RootStatement(
    date: "2026-02-28", root: "e9636069c740c9ff51625b01a0b040396d265a9b920cc6febdfa5ecc9f58ecce", leafCount: 3,
    previousRoot: "")

  /// The key follows from the master key, and the signature from both: published roots are checked by them for ever, so
  /// they may never change. Worked out with another program (Python's cryptography).
  @Test func isSignedInOneWay() throws {
    let signer = try RootSigner(masterKey: masterKey)
    #expect(Data(signer.publicKey).base64EncodedString() == "vy3w2beTrDM8k/nC7qg4429jNBA+Sd8wLCFnKC2Tf5M=")
    #expect(statement.text == "2026-02-28|e9636069c740c9ff51625b01a0b040396d265a9b920cc6febdfa5ecc9f58ecce|3|")
    let known = try #require(
      Data(
        base64Encoded: "mEakAb5FZCiyoRQKXTMAjUOa+EV716cVNSn8eoYrgjkFDBn69R6wnP7zWrk5F9cFZo/KvQNjtoiurfufRR1HAA=="))
    #expect(statement.isSigned(Array(known), by: signer.publicKey))
    #expect(statement.isSigned(try signer.sign(statement), by: signer.publicKey))
  }

  @Test func anyChangeIsNoticed() throws {
    let signer = try RootSigner(masterKey: masterKey)
    let signature = try signer.sign(statement)
    let others = [
      RootStatement(date: "2026-02-27", root: statement.root, leafCount: 3, previousRoot: ""),
      RootStatement(date: statement.date, root: "", leafCount: 3, previousRoot: ""),
      RootStatement(date: statement.date, root: statement.root, leafCount: 4, previousRoot: ""),
      RootStatement(date: statement.date, root: statement.root, leafCount: 3, previousRoot: statement.root),
    ]
    for other in others { #expect(!other.isSigned(signature, by: signer.publicKey)) }
    let stranger = try RootSigner(masterKey: try MasterKey(bytes: Array(2...33)))
    #expect(!statement.isSigned(signature, by: stranger.publicKey))
    for index in [0, 31, 32, 63] {
      var bad = signature
      bad[index] ^= 1
      #expect(!statement.isSigned(bad, by: signer.publicKey))
    }
    #expect(!statement.isSigned([], by: signer.publicKey))
    #expect(!statement.isSigned(signature, by: []))
  }
}
