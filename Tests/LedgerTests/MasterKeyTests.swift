import Fairness
import Ledger
import LedgerSimulation
import Testing

@Suite struct MasterKeyTests {
  private let other = try! MasterKey(bytes: Array(2...33))

  @Test(arguments: [0, 1, 31, 33, 64]) func hasThirtyTwoBytes(count: Int) {
    #expect(MasterKey.size == 32)
    #expect(throws: InvalidMasterKey.self) { try MasterKey(bytes: [UInt8](repeating: 7, count: count)) }
  }

  /// Stored in every database, so it may never change. Worked out independently.
  @Test func fingerprintTellsKeysApart() {
    let hex = masterKey.fingerprint.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    #expect(hex == "6a18152f97b6d3f12d6679c1116a3d84535557c7f220fec74c04a7162ba8ef04")
    #expect(masterKey.fingerprint != other.fingerprint)
  }

  /// The server seeds of all chains follow from it. Worked out independently.
  @Test func theSeedKeyIsAlwaysTheSame() throws {
    let publicKey = try masterKey.seedKey().publicKey
    #expect(publicKey.description == "d824ca3556f14176775aa0ba00e469f952d11ecfcdf1182acff395583ecde25c")
    #expect(try other.seedKey().publicKey != publicKey)
  }

  /// As for the fingerprint: a test key's outcomes must stay the same from release to release.
  @Test func testSeedsFollowFromAccountAndClientSeed() throws {
    let seeds = TestSeeds(masterKey: masterKey)
    let active = seeds.seed(account: AccountID(7), clientSeed: seed("test"))
    #expect(active.seed.description == "77891d0b78146e864d6c7017514079a7220f0c31c4f771766e7ac509c6fc967a")
    #expect(active.hash.description == "70d63054f0e26193873a5bb5374d48805c315c72a50d2a19891a4155370cde90")
    let others = [
      seeds.seed(account: AccountID(8), clientSeed: seed("test")),
      seeds.seed(account: AccountID(7), clientSeed: seed("test2")),
      seeds.seed(account: AccountID(77), clientSeed: seed("test")),
      TestSeeds(masterKey: other).seed(account: AccountID(7), clientSeed: seed("test")),
    ]
    #expect(Set(([active] + others).map(\.seed.description)).count == 5)
  }

  // MARK: The vault

  @Test(arguments: [0, 1, 64, 1000]) func whatIsSealedOpensAgain(count: Int) throws {
    let vault = masterKey.vault
    let secret = (0..<count).map { UInt8($0 & 255) }
    let sealed = try vault.seal(secret, context: "chain:1:0")
    #expect(sealed.count == count + 28)
    #expect(try vault.open(sealed, context: "chain:1:0") == secret)
    #expect(try MasterKey(bytes: Array(1...32)).vault.open(sealed, context: "chain:1:0") == secret)
    // A random nonce: sealed twice, it looks different.
    #expect(try vault.seal(secret, context: "chain:1:0") != sealed)
  }

  @Test func whatIsSealedOpensNowhereElse() throws {
    let sealed = try masterKey.vault.seal(bytes("secret"), context: "chain:1:0")
    for context in ["chain:1:1", "chain:2:0", "chain:11:0", "chain:1:0 ", "", "webhook:1:0"] {
      #expect(throws: (any Error).self) { try masterKey.vault.open(sealed, context: context) }
    }
    #expect(throws: (any Error).self) { try other.vault.open(sealed, context: "chain:1:0") }
  }

  @Test func whatWasTamperedWithDoesNotOpen() throws {
    let sealed = try masterKey.vault.seal(bytes("0123456789abcdef"), context: "a")
    for index in sealed.indices {
      for bit in 0..<8 {
        var changed = sealed
        changed[index] ^= 1 << bit
        #expect(throws: (any Error).self) { try masterKey.vault.open(changed, context: "a") }
      }
      #expect(throws: (any Error).self) { try masterKey.vault.open(Array(sealed[..<index]), context: "a") }
    }
    #expect(throws: (any Error).self) { try masterKey.vault.open(sealed + [0], context: "a") }
  }
}
