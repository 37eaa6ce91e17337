import Fairness
import Ledger
import LedgerSimulation
import Testing

@Suite struct ChainSeedsTests {
  private let key = try! masterKey.seedKey()

  private func chain(_ text: String, owner: Int64 = 7) -> ChainKey {
    ChainKey(owner: ChainOwner(owner), clientSeed: seed(text))
  }

  private func revealed(_ active: ActiveSeed, owner: Int64 = 7, era: Int64 = 3, epoch: Int) -> RevealedSeed {
    RevealedSeed(
      chain: 1, owner: ChainOwner(owner), era: era, epoch: epoch, seed: active.seed, hash: active.hash, cursor: 0,
      nonce: 1, revealed: newYear)
  }

  @Test func aChainHasOneSeedInEachEraAndEpoch() throws {
    let seeds = ChainSeeds(key: key, era: 3)
    for (owner, scope) in [(0, SeedScope.anonymous), (7, .account(7))] as [(Int64, SeedScope)] {
      for (era, epoch) in [(3, 0), (3, 1), (2, 1), (3, 0), (3, 5)] as [(Int64, Int)] {
        let expected = key.serverSeed(
          for: SeedInput(scope: scope, era: UInt64(era), epoch: UInt64(epoch), clientSeed: seed("a")))
        #expect(seeds.seed(of: chain("a", owner: owner), era: era, epoch: epoch).seed == expected)
      }
    }
    // What is remembered is the same object.
    #expect(
      seeds.seed(of: chain("a"), era: 3, epoch: 5) === seeds.seed(of: chain("a"), era: 3, epoch: 5))
  }

  /// A group of draws from chains that are new, and rotations of chains that are not.
  @Test func whatAGroupNeedsIsPreparedSideBySideAndIsTheSame() {
    let seeds = ChainSeeds(key: key, era: 3)
    let caller = Caller.live(1, account: 7)
    func submit(_ group: [Submission]) { seeds.prepare(for: group, Needs(of: group)) }
    let names = (0..<300).map { "chain \($0)" }
    submit(names.map { Submission(caller: caller, operation: .draw(.ints($0))) })
    submit(names.prefix(50).map { Submission(caller: caller, operation: .rotate(seed($0))) })
    let fresh = ChainSeeds(key: key, era: 3)
    for (index, name) in names.enumerated() {
      for epoch in 0...(index < 50 ? 1 : 0) {
        #expect(
          seeds.seed(of: chain(name), era: 3, epoch: epoch).seed
            == fresh.seed(of: chain(name), era: 3, epoch: epoch).seed)
      }
    }
    // What is known already is not computed anew, also when the chain was rotated.
    let before = names.map { seeds.seed(of: chain($0), era: 3, epoch: 1) }
    submit(names.map { Submission(caller: caller, operation: .draw(.ints($0))) })
    #expect(zip(names, before).allSatisfy { seeds.seed(of: chain($0), era: 3, epoch: 1) === $1 })
  }

  @Test func aProofIsOfThisSeedOrNone() throws {
    let seeds = ChainSeeds(key: key, era: 3)
    let active = seeds.seed(of: chain("a"), era: 3, epoch: 4)
    let proof = try #require(seeds.proof(of: revealed(active, epoch: 4), clientSeed: seed("a")))
    try proof.check(serverSeed: active.seed, clientSeed: seed("a"), publicKey: seeds.publicKey)
    #expect((proof.era, proof.epoch, proof.scope) == (3, 4, .account(7)))
    for other in [
      revealed(active, epoch: 3), revealed(active, era: 2, epoch: 4), revealed(active, owner: 8, epoch: 4),
      revealed(active, owner: -9, epoch: 4), revealed(ActiveSeed(ServerSeed(bytes: Array(0..<32))), epoch: 4),
    ] { #expect(seeds.proof(of: other, clientSeed: seed("a")) == nil) }
    #expect(seeds.proof(of: revealed(active, epoch: 4), clientSeed: seed("b")) == nil)
  }
}
