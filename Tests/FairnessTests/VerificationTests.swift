import Fairness
import Testing

@Suite struct VerificationTests {
  let generator = Generator.ints(count: 5, min: 1, max: 1000)

  private func claim() throws -> Verification {
    Verification(
      serverSeed: fixedSeed, serverHash: fixedSeed.hash, clientSeed: fixedClientSeed, cursor: 3,
      nonce: 9, generator: generator)
  }

  @Test func derivesTheDrawAgain() throws {
    var stream = fixedStream(cursor: 3, nonce: 9)
    let drawn = generator.draw(from: &stream)
    #expect(try claim().values() == drawn)
  }

  @Test("Any coordinate changed, other values")
  func everyPartCounts() throws {
    let values = try claim().values()
    var changed = try claim()
    changed.nonce = 10
    #expect(try changed.values() != values)
    changed = try claim()
    changed.cursor = 4
    #expect(try changed.values() != values)
    changed = try claim()
    changed.clientSeed = try ClientSeed("statistics ")
    #expect(try changed.values() != values)
    changed = try claim()
    changed.generator = .ints(count: 5, min: 2, max: 1001)
    #expect(try changed.values() != values)
  }

  @Test func aSeedThatWasNotCommittedTo() throws {
    var other = SplitMix64(state: 1)
    var forged = try claim()
    forged.serverSeed = ServerSeed(using: &other)
    #expect(
      throws: Verification.Failure.seedDoesNotMatchHash(computed: forged.serverSeed.hash)
    ) {
      try forged.values()
    }
  }

  @Test func parametersNoDrawCanHaveHad() throws {
    var impossible = try claim()
    impossible.generator = .floats(count: 0)
    #expect(
      throws: Verification.Failure.invalidParameter(.wholeNumber("count", in: Limits.count))
    ) {
      try impossible.values()
    }
  }
}
