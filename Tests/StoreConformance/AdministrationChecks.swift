import Accounts
import Ledger
import Testing

extension StoreConformance {
  static let administrationChecks = [
    StoreCheck("accounts are listed in the order they were made") { test in
      let account = try await test.accounts.createAccount(name: "carol", dailyQuota: 0, signIn: nil)
      #expect(account.name == "carol" && account.dailyQuota == 0 && account.created > newYear)
      #expect(account.id > test.bob.account && account.id != .anonymous)
      let accounts = try await test.accounts.accounts()
      #expect(accounts.map(\.name) == ["alice", "bob", "carol"])
      #expect(accounts.map(\.dailyQuota) == [nil, 3, 0])
      #expect(accounts.last == account)
      try await test.reopen()
      #expect(try await test.accounts.accounts() == accounts)
      #expect(try await test.store.totals().accounts == 3)
    },

    StoreCheck("a name is taken once, by its bytes") { test in
      await #expect(throws: AdministrationError.nameTaken("alice")) {
        try await test.accounts.createAccount(name: "alice", dailyQuota: 7, signIn: nil)
      }
      let spellings = ["Alice", "é", "e\u{301}", "alice ", "a%"]
      for name in spellings { _ = try await test.accounts.createAccount(name: name, dailyQuota: nil, signIn: nil) }
      await #expect(throws: AdministrationError.nameTaken("é")) {
        try await test.accounts.createAccount(name: "é", dailyQuota: 7, signIn: nil)
      }
      #expect(
        try await test.accounts.accounts().map { Array($0.name.utf8) }
          == (["alice", "bob"] + spellings).map { Array($0.utf8) })
      let key = try await test.accounts.createKey(NewAPIKey(mode: .live), forAccountNamed: "e\u{301}")
      #expect(
        try await test.accounts.accounts().first { $0.id == key.account }.map { Array($0.name.utf8) } == [
          0x65, 0xCC, 0x81,
        ])
    },

    StoreCheck("a key is found by its hash, with its restrictions") { test in
      let new = try NewAPIKey(
        mode: .test, allowedNetworks: ["10.0.0.0/8", "2001:db8::/32"],
        allowedReferers: ["https://example.com", "http://*.example.com:8080"])
      let made = try await test.accounts.createKey(new, forAccountNamed: "bob")
      #expect(made.account == test.bob.account && made.mode == .test && made.revoked == nil)
      #expect(made.prefix == new.prefix && made.created > newYear)
      #expect(
        made.allowedNetworks == new.allowedNetworks && made.allowedReferers == new.allowedReferers)
      let found = try await test.store.key(hash: new.hash)
      #expect(found == made)
      try await test.reopen()
      #expect(try await test.store.key(hash: new.hash) == made)
      #expect(try await test.store.key(hash: NewAPIKey(mode: .test).hash) == nil)
      #expect(try await test.store.key(hash: []) == nil)
      let keys = try await test.accounts.keys(of: nil).map(\.key)
      let (alice, bob) = (test.alice.account, test.bob.account)
      #expect(keys.map(\.account) == [alice, alice, alice, bob, bob])
      #expect(keys.last == made)
      #expect(keys.first?.allowedNetworks == [] && keys.first?.allowedReferers == [])
      #expect(Set(keys.map(\.id)).count == 5)
    },

    StoreCheck("a key needs an account") { test in
      await #expect(throws: AdministrationError.unknownAccount("nobody")) {
        try await test.accounts.createKey(NewAPIKey(mode: .live), forAccountNamed: "nobody")
      }
      let keys = try await test.accounts.keys(of: nil)
      #expect(keys.count == 4)
    },

    StoreCheck("a new key works in the next group") { test in
      try test.settle(draw(test.alice))
      let new = try await test.accounts.createKey(NewAPIKey(mode: .live), forAccountNamed: "alice")
      let caller = Caller.key(new.id, new.account, .live)
      #expect(try test.settle(draw(caller)).reply.status == 200)
    },

    StoreCheck("a revoked key is turned away in the next group, and stays known") { test in
      let new = try NewAPIKey(mode: .live)
      let made = try await test.accounts.createKey(new, forAccountNamed: "alice")
      let caller = Caller.key(made.id, made.account, .live)
      #expect(try test.settle(draw(caller, claim: "a")).reply.status == 200)
      #expect(try await test.accounts.revokeKey(prefix: new.prefix).id == made.id)
      #expect(try test.snapshot(draw(caller)).keys.isEmpty)
      let refused = try test.settle(draw(caller, claim: "a"), draw(caller))
      #expect(refused.replies.map(\.status) == [401, 401] && refused.changes.isEmpty)
      let found = try #require(await test.store.key(hash: new.hash))
      #expect(found.id == made.id && (found.revoked ?? 0) >= made.created)
      // The account's other keys go on, and what the revoked one drew stays.
      #expect(try test.settle(draw(test.alice)).reply.status == 200)
      #expect(try await test.outcomes(test.alice).map(\.nonce) == [1, 0])
      // Revoking again changes nothing.
      _ = try await test.accounts.revokeKey(prefix: new.prefix)
      try await test.reopen()
      #expect(try await test.store.key(hash: new.hash) == found)
      #expect(try test.snapshot(draw(caller)).keys.isEmpty)
    },

    StoreCheck("a key is revoked by as much of its prefix as tells it apart") { test in
      await #expect(throws: AdministrationError.unknownKey("")) { try await test.accounts.revokeKey(prefix: "") }
      for prefix in ["nothing", "PK_LIVE_", "pk_live%", "pk_live_________", "%"] {
        await #expect(throws: AdministrationError.unknownKey(prefix)) {
          try await test.accounts.revokeKey(prefix: prefix)
        }
      }
      await #expect(throws: AdministrationError.ambiguousPrefix("pk_live_")) {
        try await test.accounts.revokeKey(prefix: "pk_live_")
      }
      func revoked() async throws -> [KeyID] {
        try await test.accounts.keys(of: nil).map(\.key).filter { $0.revoked != nil }.map(\.id)
      }
      #expect(try await revoked() == [])
      // There is but one test key.
      let key = try await test.accounts.revokeKey(prefix: "pk_test_")
      #expect(key.id == test.aliceTest.keyID)
      #expect(try await revoked() == [test.aliceTest.keyID])
    },

    StoreCheck("a key of a cell is found by its beginning, and by itself") { test in
      let cell = try #require(CellName("abcdefgh"))
      // What comes before the random characters has the length of another key's whole prefix.
      let keys = try (0..<3).map { _ in try NewAPIKey(mode: .live, cell: cell) }
      for key in keys { _ = try await test.accounts.createKey(key, forAccountNamed: "bob") }
      await #expect(throws: AdministrationError.ambiguousPrefix("pk_live_abcdefgh")) {
        try await test.accounts.key(beginningWith: "pk_live_abcdefgh_")
      }
      for key in keys {
        for text in [key.prefix, key.secret, String(key.secret.prefix(40))] {
          #expect(try await test.accounts.key(beginningWith: text).prefix == key.prefix)
        }
      }
      let unknown = try NewAPIKey(mode: .live, cell: cell)
      await #expect(throws: AdministrationError.unknownKey(unknown.prefix)) {
        try await test.accounts.key(beginningWith: unknown.secret)
      }
    },

    StoreCheck("a database keeps the name of its cell as soon as a key carries it") { test in
      let names = try ["eu1", "eu2", "eu3"].map { try #require(CellName($0)) }
      #expect(try await test.accounts.cell() == nil)
      for name in [names[0], names[0], names[1]] {
        try await test.accounts.setCell(name)
        #expect(try await test.accounts.cell() == name)
      }
      _ = try await test.accounts.createKey(NewAPIKey(mode: .test, cell: names[2]), forAccountNamed: "bob")
      try await test.accounts.setCell(names[0])
      _ = try await test.accounts.createKey(NewAPIKey(mode: .test, cell: names[0]), forAccountNamed: "bob")
      try await test.reopen()
      for name in names[1...] {
        await #expect(throws: AdministrationError.anotherCell(names[0])) { try await test.accounts.setCell(name) }
      }
      try await test.accounts.setCell(names[0])
      #expect(try await test.accounts.cell() == names[0])
    },
  ]
}
