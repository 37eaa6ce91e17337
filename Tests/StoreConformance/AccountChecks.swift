import Accounts
import Fairness
import Ledger
import Testing

/// What every ``AccountStore`` has to do. A ledger's store is one too.
extension StoreConformance {
  static let accountChecks = [
    // MARK: Accounts

    StoreCheck("an account is found by its number and its name, however it was made") { test in
      let alice = try #require(try await test.accounts.account(test.alice.account))
      #expect(alice.name == "alice" && alice.dailyQuota == nil)
      let named = try await test.accounts.account(named: "alice")
      #expect(named == alice)
      let carol = try await test.accounts.createAccount(name: "carol", dailyQuota: 7, signIn: nil)
      #expect(carol.dailyQuota == 7 && carol.id > test.bob.account)
      #expect(try await test.accounts.accounts().last == carol)
      try await test.reopen()
      #expect(try await test.accounts.account(carol.id) == carol)
      #expect(try await test.accounts.account(named: "carol") == carol)
      #expect(try await test.accounts.account(named: "Carol") == nil)
      for id in [0, -1, carol.id.rawValue + 1, .max] as [Int64] {
        #expect(try await test.accounts.account(AccountID(id)) == nil)
      }
      await #expect(throws: AdministrationError.nameTaken("carol")) {
        try await test.accounts.createAccount(name: "carol", dailyQuota: nil, signIn: signIn("carol@example.com"))
      }
      #expect(try await test.accounts.signIn(email: email("carol@example.com")) == nil)
    },

    StoreCheck("an email address is one account's, however it is spelled") { test in
      let made = try await test.accounts.createAccount(
        name: "carol", dailyQuota: nil, signIn: signIn("Carol@Example.com"))
      #expect(try await test.accounts.signIn(of: made.id) == signIn("carol@example.com"))
      let found = try await test.accounts.signIn(email: email("CAROL@example.COM"))
      #expect(found?.account == made.id && found?.signIn == signIn("carol@example.com"))
      #expect(try await test.accounts.signIn(of: test.alice.account) == nil)

      await #expect(throws: AdministrationError.emailTaken) {
        try await test.accounts.createAccount(name: "dave", dailyQuota: nil, signIn: signIn("carol@EXAMPLE.com"))
      }
      #expect(try await test.accounts.account(named: "dave") == nil)
      await #expect(throws: AdministrationError.emailTaken) {
        try await test.accounts.setSignIn(signIn(" carol@example.com"), of: test.alice.account, keeping: nil)
      }
      #expect(try await test.accounts.signIn(of: test.alice.account) == nil)

      // One's own address may be set again, with another password; one that was given up is free.
      try await test.accounts.setSignIn(signIn("carol@example.com", "2"), of: made.id, keeping: nil)
      #expect(try await test.accounts.signIn(of: made.id) == signIn("carol@example.com", "2"))
      try await test.accounts.setSignIn(signIn("new@example.com"), of: made.id, keeping: nil)
      #expect(try await test.accounts.signIn(email: email("carol@example.com")) == nil)
      try await test.accounts.setSignIn(signIn("carol@example.com"), of: test.alice.account, keeping: nil)
      try await test.reopen()
      #expect(try await test.accounts.signIn(email: email("carol@example.com"))?.account == test.alice.account)
      await #expect(throws: AdministrationError.noAccount(AccountID(999))) {
        try await test.accounts.setSignIn(signIn("nobody@example.com"), of: AccountID(999), keeping: nil)
      }
    },

    // MARK: Sessions

    StoreCheck("a session is good until it expires or is ended") { test in
      let token = try SessionToken()
      let session = test.session(token, of: test.alice, hours: 1)
      try await test.accounts.createSession(session)
      #expect(try await test.accounts.session(token.digest, at: test.now) == session)
      #expect(try await test.accounts.session(token.digest, at: session.expires - 1) == session)
      #expect(try await test.accounts.session(token.digest, at: session.expires) == nil)
      #expect(try await test.accounts.session(SessionToken().digest, at: test.now) == nil)
      try await test.reopen()
      #expect(try await test.accounts.session(token.digest, at: test.now) == session)
      try await test.accounts.endSession(token.digest)
      try await test.accounts.endSession(token.digest)
      #expect(try await test.accounts.session(token.digest, at: test.now) == nil)
      await #expect(throws: AdministrationError.noAccount(AccountID(999))) {
        try await test.accounts.createSession(
          Session(digest: token.digest, account: AccountID(999), created: test.now, expires: test.now + 1))
      }
    },

    StoreCheck("expired sessions are swept, a bounded number at a time") { test in
      #expect(try await !test.accounts.sweepSessions(at: test.now))
      let tokens = try (0..<3).map { _ in try SessionToken() }
      for (hours, token) in zip([1, 2, 3] as [Int64], tokens) {
        try await test.accounts.createSession(test.session(token, of: test.alice, hours: hours))
      }
      for _ in 0..<600 {
        try await test.accounts.createSession(test.session(SessionToken(), of: test.bob, hours: 1))
      }
      #expect(try await test.accounts.sweepSessions(at: test.now + 2 * hour))
      while try await test.accounts.sweepSessions(at: test.now + 2 * hour) {}
      var left: [Bool] = []
      for token in tokens { left.append(try await test.accounts.session(token.digest, at: test.now) != nil) }
      #expect(left == [false, false, true])
    },

    StoreCheck("a new sign-in ends the account's sessions but the one that set it") { test in
      let tokens = try (0..<4).map { _ in try SessionToken() }
      for (token, caller) in zip(tokens, [test.alice, test.alice, test.alice, test.bob]) {
        try await test.accounts.createSession(test.session(token, of: caller, hours: 1))
      }
      func live() async throws -> [Bool] {
        var live: [Bool] = []
        for token in tokens { live.append(try await test.accounts.session(token.digest, at: test.now) != nil) }
        return live
      }
      try await test.accounts.setSignIn(signIn("a@example.com"), of: test.alice.account, keeping: tokens[1].digest)
      #expect(try await live() == [false, true, false, true])
      // Somebody else's session cannot be kept, and need not be.
      try await test.accounts.setSignIn(signIn("a@example.com"), of: test.alice.account, keeping: tokens[3].digest)
      #expect(try await live() == [false, false, false, true])
      try await test.accounts.setSignIn(signIn("b@example.com"), of: test.bob.account, keeping: nil)
      #expect(try await live() == [false, false, false, false])
    },

    // MARK: Keys

    StoreCheck("an account sees, makes and revokes its own keys alone") { test in
      let new = try NewAPIKey(mode: .live, name: "the shop’s", allowedNetworks: ["10.0.0.0/8"])
      let made = try await test.accounts.createKey(new, of: test.alice.account)
      #expect(made.name == "the shop’s" && made.account == test.alice.account && made.prefix == new.prefix)
      #expect(try await test.store.key(hash: new.hash) == made)
      #expect(try test.settle(draw(.key(made.id, made.account, .live))).reply.status == 200)
      let ids = [test.alice, test.aliceToo, test.aliceTest].map(\.keyID) + [made.id]
      #expect(try await test.accounts.keys(of: test.alice.account).map(\.key.id) == ids)
      #expect(try await test.accounts.keys(of: test.bob.account).map(\.key.id) == [test.bob.keyID])
      #expect(try await test.accounts.keys(of: AccountID(999)).isEmpty)

      for id in [test.bob.keyID, KeyID(999)] {
        await #expect(throws: AdministrationError.unknownKey(String(id.rawValue))) {
          try await test.accounts.revokeKey(id, of: test.alice.account)
        }
      }
      #expect(try test.snapshot(draw(test.bob)).keys == [test.bob.keyID])
      let revoked = try await test.accounts.revokeKey(made.id, of: test.alice.account)
      #expect(revoked.revoked != nil)
      #expect(try await test.accounts.revokeKey(made.id, of: test.alice.account) == revoked)
      #expect(try test.settle(draw(.key(made.id, made.account, .live))).reply.status == 401)
      try await test.reopen()
      #expect(try await test.accounts.keys(of: test.alice.account).last?.key == revoked)
      #expect(try await test.accounts.keys(of: nil).first { $0.key.id == made.id }?.key == revoked)
      await #expect(throws: AdministrationError.noAccount(AccountID(999))) {
        try await test.accounts.createKey(NewAPIKey(mode: .live), of: AccountID(999))
      }
    },

    StoreCheck("keys that are not revoked are counted") { test in
      var last: KeyID?
      for _ in 1..<maximumKeys {
        last = try await test.accounts.createKey(NewAPIKey(mode: .test), of: test.bob.account).id
      }
      await #expect(throws: AdministrationError.tooManyKeys) {
        try await test.accounts.createKey(NewAPIKey(mode: .live), of: test.bob.account)
      }
      _ = try await test.accounts.createKey(NewAPIKey(mode: .live), of: test.alice.account)
      _ = try await test.accounts.revokeKey(try #require(last), of: test.bob.account)
      _ = try await test.accounts.createKey(NewAPIKey(mode: .live), of: test.bob.account)
      await #expect(throws: AdministrationError.tooManyKeys) {
        try await test.accounts.createKey(NewAPIKey(mode: .live), forAccountNamed: "bob")
      }
    },

    StoreCheck("a key's activity adds up") { test in
      func activity(_ caller: Caller) async throws -> KeyActivity? {
        try await test.accounts.keys(of: caller.account).first { $0.key.id == caller.keyID }?.activity
      }
      #expect(try await activity(test.alice) == KeyActivity())
      try await test.accounts.record([:])
      try await test.accounts.record([
        test.alice.keyID: KeyActivity(lastUsed: 50), test.bob.keyID: KeyActivity(denied: 2, lastDenied: 60),
        KeyID(999): KeyActivity(lastUsed: 1),
      ])
      #expect(try await activity(test.alice) == KeyActivity(lastUsed: 50))
      #expect(try await activity(test.bob) == KeyActivity(denied: 2, lastDenied: 60))
      #expect(try await activity(test.aliceToo) == KeyActivity())
      // Another server may report later what it noticed earlier.
      try await test.accounts.record([
        test.alice.keyID: KeyActivity(lastUsed: 40, denied: 3, lastDenied: 45),
        test.bob.keyID: KeyActivity(lastUsed: 70, denied: 1, lastDenied: 55),
      ])
      try await test.reopen()
      #expect(try await activity(test.alice) == KeyActivity(lastUsed: 50, denied: 3, lastDenied: 45))
      #expect(try await activity(test.bob) == KeyActivity(lastUsed: 70, denied: 3, lastDenied: 60))
      let listed = try await test.accounts.keys(of: nil).first { $0.key.id == test.bob.keyID }
      #expect(listed?.activity.denied == 3)
    },

    // MARK: Draws

    StoreCheck("usage is told by day and endpoint, within a range, the latest day first") { test in
      let today = Day(of: test.now)
      func usage(_ caller: Caller, _ days: ClosedRange<Int64>) async throws -> [DailyUsage] {
        try await test.accounts.usage(
          of: caller.account,
          days: Day(number: today.number + days.lowerBound)...Day(number: today.number + days.upperBound))
      }
      let dice = DrawRequest(clientSeed: seed("d"), generator: .dice(try DiceNotation("2d6")))
      try test.settle(draw(test.alice), draw(test.aliceToo), draw(test.aliceTest), draw(test.bob), draw(.anonymous))
      try test.settle(Submission(caller: test.alice, operation: .draw(dice)))
      test.now += 2 * day
      try test.settle(draw(test.alice))
      let first = [
        DailyUsage(day: today, endpoint: .ints, count: 2), DailyUsage(day: today, endpoint: .dice, count: 1),
      ].sorted { $0.endpoint.rawValue < $1.endpoint.rawValue }
      let second = DailyUsage(day: Day(number: today.number + 2), endpoint: .ints, count: 1)
      #expect(try await usage(test.alice, 0...2) == [second] + first)
      #expect(try await usage(test.alice, -5...0) == first)
      #expect(try await usage(test.alice, 1...1) == [])
      #expect(try await usage(test.alice, 2...9) == [second])
      #expect(try await usage(test.bob, -5...5) == [DailyUsage(day: today, endpoint: .ints, count: 1)])
      let nobodys = Day(number: 0)...Day(number: 1 << 40)
      #expect(try await test.accounts.usage(of: .anonymous, days: nobodys).isEmpty)
      #expect(try await test.accounts.usage(of: AccountID(999), days: nobodys).isEmpty)
    },

    StoreCheck("a day's draws are told by the hour") { test in
      let tomorrow = Day(of: test.now).next
      func hours(_ caller: Caller, on day: Day) async throws -> [Int: Int] {
        let counts = try await test.accounts.hourlyUsage(of: caller.account, on: day)
        #expect(counts.count == 24)
        return Dictionary(uniqueKeysWithValues: counts.enumerated().filter { $0.element > 0 }.map { ($0, $1) })
      }
      #expect(try await hours(test.alice, on: tomorrow) == [:])
      test.now = tomorrow.start + 1_800_000
      try test.settle(draw(test.alice), draw(test.aliceToo), draw(test.aliceTest), draw(.anonymous))
      #expect(try await hours(test.alice, on: tomorrow) == [0: 2])
      test.now = tomorrow.start + 3 * 3_600_000
      try test.settle(draw(test.alice), draw(test.bob))
      try test.settle(draw(test.aliceToo))
      #expect(try await hours(test.alice, on: tomorrow) == [0: 2, 3: 2])
      // What a server remembers of an hour is not needed.
      try await test.reopen()
      test.now += 3_599_999
      try test.settle(draw(test.alice))
      test.now += 1
      let dice = DrawRequest(clientSeed: seed("d"), generator: .dice(try DiceNotation("2d6")))
      try test.settle(Submission(caller: test.alice, operation: .draw(dice)), draw(test.alice))
      #expect(try await hours(test.alice, on: tomorrow) == [0: 2, 3: 3, 4: 2])
      #expect(try await hours(test.bob, on: tomorrow) == [3: 1])
      // An hour of another day begins anew.
      test.now = tomorrow.end + 3 * 3_600_000
      try test.settle(draw(test.alice))
      #expect(try await hours(test.alice, on: tomorrow.next) == [3: 1])
      try await test.accounts.deleteAccount(test.alice.account)
      #expect(try await hours(test.alice, on: tomorrow.next) == [:])
      #expect(try await hours(.anonymous, on: tomorrow.next) == [:])
    },

    StoreCheck("chains are found by the beginning of their client seeds, byte for byte, a page at a time") { test in
      let seeds = [
        "a", "ab", "abc", "b", "é", "e\u{301}", "z", "\u{7f}", "\u{80}", "\u{7ff}", "\u{ffff}", "🎲", "🎳", "%", "_",
      ]
      for (place, name) in seeds.enumerated() {
        try test.settle(draw(place % 2 == 0 ? test.alice : test.aliceToo, name), draw(.anonymous, name))
      }
      try test.settle(draw(test.aliceTest, "test only"), draw(test.bob, "bob"), commitment(test.alice, "asked for"))
      func found(_ prefix: [UInt8], _ limit: Int = 1000) async throws -> [ChainReport] {
        var all: [ChainReport] = []
        while true {
          let page = try await test.accounts.chains(
            of: test.alice.account, prefix: prefix, after: all.last?.clientSeed, limit: limit)
          #expect(page.count <= limit)
          all += page
          if page.count < limit { return all }
        }
      }
      let expected = (seeds + ["asked for"]).map { seed($0) }.sorted()
      let prefixes: [[UInt8]] = [
        [], Array("a".utf8), Array("ab".utf8), Array("abcd".utf8), Array("b".utf8), Array("e".utf8), Array("é".utf8),
        [0xC3],
        [0x7F], [0xC2], [0xEF], [0xEF, 0xBF, 0xBF], [0xF0, 0x9F, 0x8E], [0xF0], [0xFF], [0xFF, 0xFF], Array("%".utf8),
        Array("_".utf8), Array("bob".utf8), Array("test".utf8),
      ]
      for prefix in prefixes {
        let matching = expected.filter { $0.bytes.starts(with: prefix) }
        for limit in [1, 3, 1000] {
          #expect(try await found(prefix, limit).map(\.clientSeed) == matching, "\(prefix)")
        }
      }
      #expect(try await found([0xFF]).isEmpty)

      // They are told as they stand.
      try test.settle(draw(test.alice, "abc"), move(test.alice, "abc"))
      let before = try #require(try await found(Array("abc".utf8)).first)
      #expect(before.nonce == 2 && before.cursor == 1 && before.created == test.now)
      try test.settle(rotate(test.alice, "abc"))
      let after = try #require(try await found(Array("abc".utf8)).first)
      #expect(after.nonce == 2 && after.serverHash != before.serverHash)
      #expect(try test.snapshot(draw(test.alice, "abc")).chains.values.first?.active.hash == after.serverHash)
      // When a key is revoked they stay, and the account's other keys draw on.
      _ = try await test.accounts.revokeKey(test.aliceToo.keyID, of: test.alice.account)
      #expect(try await found([]).count == expected.count)
      #expect(try test.settle(draw(test.alice, "ab")).changes.outcomes[0].nonce == 1)
      #expect(try await test.accounts.chains(of: AccountID(999), prefix: [], after: nil, limit: 10).isEmpty)
    },

    StoreCheck("what was drawn from commitments is listed by client seed, a page at a time") { test in
      var drawn: [Outcome] = []
      for caller in [test.alice, test.alice, test.aliceToo, test.bob, test.aliceTest, .anonymous] {
        let made = try test.settle(commit(caller), commit(caller)).changes.newCommitments
        let changes = try test.settle(reveal(caller, made[0].id, "mine")).changes
        if caller.account == test.alice.account { drawn += changes.outcomes }
      }
      try test.settle(draw(test.alice, "mine"))
      #expect(drawn.count == 3)
      for limit in [1, 2, 100] {
        var all: [Outcome] = []
        while true {
          let page = try await test.accounts.revealedOutcomes(
            of: test.alice.account, after: all.last, limit: limit)
          all += page
          if page.count < limit { break }
        }
        #expect(all.map(\.id) == drawn.map(\.id) && all.allSatisfy { $0.commitment != nil })
      }
    },

    StoreCheck("test outcomes are listed by client seed, a page at a time") { test in
      let bobTest = try await test.accounts.createKey(NewAPIKey(mode: .test), of: test.bob.account)
      try test.settle(draw(.key(bobTest.id, bobTest.account, .test), "bob"), draw(test.alice, "live"))
      var drawn: [Outcome] = []
      for name in ["b", "é", "a", "b\u{1}"] {
        drawn += try test.settle(
          draw(test.aliceTest, name),
          Submission(caller: test.aliceTest, operation: .draw(.ints(name, count: 2)))
        ).changes.testOutcomes.map(\.1)
      }
      let made = try test.settle(commit(test.aliceTest)).changes.newCommitments[0]
      drawn += try test.settle(reveal(test.aliceTest, made.id, "b")).changes.testOutcomes.map(\.1)
      drawn.sort { ($0.clientSeed, $0.id) < ($1.clientSeed, $1.id) }
      #expect(drawn.count == 9)
      for limit in [1, 2, 100] {
        var all: [Outcome] = []
        while true {
          let page = try await test.accounts.testOutcomes(
            of: test.alice.account, after: all.last.map { ($0.clientSeed, $0.id) }, limit: limit)
          all += page
          if page.count < limit { break }
        }
        #expect(all == drawn)
      }
    },

    // MARK: Webhooks

    StoreCheck("an account sees and changes its own webhooks alone") { test in
      let url = try #require(WebhookURL("https://one.example/"))
      let alices = try await test.accounts.createWebhook(url: url, secret: WebhookSecret(), of: test.alice.account)
      let bobs = try await test.accounts.createWebhook(url: url, secret: WebhookSecret(), of: test.bob.account)
      #expect(try await test.accounts.webhooks(of: test.alice.account) == [alices])
      #expect(try await test.accounts.webhooks(of: test.bob.account) == [bobs])
      #expect(try test.snapshot(draw(test.alice)).webhooks[test.alice.account] == [WebhookSubscription(alices.id)])

      let unknown = AdministrationError.unknownWebhook(bobs.id)
      let account = test.alice.account
      await #expect(throws: unknown) { try await test.accounts.deleteWebhook(bobs.id, of: account) }
      await #expect(throws: unknown) { try await test.accounts.setWebhook(bobs.id, enabled: false, of: account) }
      await #expect(throws: unknown) {
        try await test.accounts.setWebhookSecret(bobs.id, to: WebhookSecret(), of: account)
      }
      await #expect(throws: unknown) { try await test.accounts.createTestDelivery(for: bobs.id, of: account) }
      await #expect(throws: unknown) {
        try await test.accounts.deliveries(of: account, endpoint: bobs.id, state: nil, before: nil, limit: 9)
      }
      #expect(try await test.accounts.webhooks(of: test.bob.account) == [bobs])

      #expect(try await !test.accounts.setWebhook(alices.id, enabled: false, of: account).isEnabled)
      await #expect(throws: AdministrationError.webhookDisabled(alices.id)) {
        try await test.accounts.createTestDelivery(for: alices.id, of: account)
      }
      #expect(try await test.accounts.setWebhook(alices.id, enabled: true, of: account).isEnabled)
      try await test.accounts.setWebhookSecret(alices.id, to: WebhookSecret(), of: account)
      _ = try await test.accounts.createTestDelivery(for: alices.id, of: account)
      let claimed = try await test.claimAll()
      #expect(claimed.count == 1 && claimed.first?.target.secrets.count == 2)
      try await test.accounts.deleteWebhook(alices.id, of: account)
      #expect(try await test.accounts.webhooks(of: account).isEmpty)
      await #expect(throws: AdministrationError.unknownWebhook(alices.id)) {
        try await test.accounts.deleteWebhook(alices.id, of: account)
      }

      for _ in 0..<maximumWebhooks {
        _ = try await test.accounts.createWebhook(url: url, secret: WebhookSecret(), of: account)
      }
      await #expect(throws: AdministrationError.tooManyWebhooks("alice")) {
        try await test.accounts.createWebhook(url: url, secret: WebhookSecret(), of: account)
      }
    },

    StoreCheck("an account lists and resends its own deliveries alone, the newest first, a page at a time") { test in
      let url = try #require(WebhookURL("https://one.example/"))
      let account = test.alice.account
      let first = try await test.accounts.createWebhook(url: url, secret: WebhookSecret(), of: account).id
      let second = try await test.accounts.createWebhook(url: url, secret: WebhookSecret(), of: account).id
      let bobs = try await test.accounts.createWebhook(url: url, secret: WebhookSecret(), of: test.bob.account).id
      var made: [(DeliveryID, WebhookEndpointID)] = []
      for endpoint in [first, second, second, first, second] {
        made.append((try await test.accounts.createTestDelivery(for: endpoint, of: account), endpoint))
        _ = try await test.accounts.createTestDelivery(for: bobs, of: test.bob.account)
      }
      made.reverse()
      func listed(
        _ endpoint: WebhookEndpointID? = nil, _ state: DeliveryState? = nil, limit: Int = 100
      ) async throws -> [DeliveryID] {
        var all: [DeliveryID] = []
        while true {
          let page = try await test.accounts.deliveries(
            of: account, endpoint: endpoint, state: state, before: all.last, limit: limit)
          all += page.map(\.id)
          if page.count < limit { return all }
        }
      }
      for limit in [1, 2, 100] {
        #expect(try await listed(limit: limit) == made.map(\.0))
        #expect(try await listed(second, limit: limit) == made.filter { $0.1 == second }.map(\.0))
      }
      let claimed = try await test.claimAll().filter { $0.target.endpoint == first }
      _ = try await test.deliveryStore.exchange(
        claimed.map {
          DeliveryResult(
            of: $0, .delivered,
            attempt: DeliveryAttempt(at: test.now, status: 200, latency: 1, error: nil, answer: Array("ok".utf8)))
        }, for: nil)
      #expect(try await listed(nil, .delivered) == made.filter { $0.1 == first }.map(\.0))
      #expect(try await listed(second, .delivered) == [])
      #expect(try await listed(nil, .pending) == made.filter { $0.1 == second }.map(\.0))
      let report = try await test.accounts.deliveries(
        of: account, endpoint: first, state: nil, before: nil, limit: 1
      ).first
      #expect(report?.account == "alice" && report?.attempts.first?.answer == Array("ok".utf8))

      let others = try await test.accounts.deliveries(
        of: test.bob.account, endpoint: nil, state: nil, before: nil, limit: 1)
      for id in [others[0].id, DeliveryID(999)] {
        await #expect(throws: AdministrationError.unknownDelivery(id)) {
          try await test.accounts.resendDelivery(id, of: account)
        }
      }
      try await test.accounts.resendDelivery(claimed[0].id, of: account)
      #expect(try await listed(nil, .delivered).count == 1)
    },

    // MARK: Deleting

    StoreCheck("a deleted account is gone, and can draw no more") { test in
      let key = try NewAPIKey(mode: .live, name: "shop")
      let record = try await test.accounts.createKey(key, of: test.alice.account)
      let caller = Caller.key(record.id, record.account, .live)
      try test.settle(draw(caller, claim: "once"), draw(test.alice), draw(test.aliceTest))
      let token = try SessionToken()
      try await test.accounts.setSignIn(signIn("alice@example.com"), of: caller.account, keeping: nil)
      try await test.accounts.createSession(test.session(token, of: caller, hours: 1))
      try await test.accounts.record([caller.keyID: KeyActivity(lastUsed: 5)])
      let webhook = try await test.accounts.createWebhook(
        url: try #require(WebhookURL("https://one.example/")), secret: WebhookSecret(), of: caller.account)
      try test.settle(draw(caller))
      let open = try test.settle(commit(caller)).changes.newCommitments[0]

      try await test.accounts.deleteAccount(caller.account)
      for round in 0..<2 {
        if round == 1 { try await test.reopen() }
        #expect(try await test.accounts.account(caller.account) == nil)
        #expect(try await test.accounts.account(named: "alice") == nil)
        #expect(try await test.accounts.accounts().map(\.name) == ["bob"])
        #expect(try await test.store.totals().accounts == 1)
        #expect(try await test.accounts.signIn(email: email("alice@example.com")) == nil)
        #expect(try await test.accounts.signIn(of: caller.account) == nil)
        #expect(try await test.accounts.session(token.digest, at: test.now) == nil)
        #expect(try await test.store.key(hash: key.hash) == nil)
        #expect(try await test.accounts.keys(of: caller.account).isEmpty)
        #expect(try await test.accounts.keys(of: nil).map(\.key.account) == [test.bob.account])
        await #expect(throws: AdministrationError.unknownKey(key.prefix)) {
          try await test.accounts.revokeKey(prefix: key.prefix)
        }
        #expect(try await test.accounts.chains(of: caller.account, prefix: [], after: nil, limit: 10).isEmpty)
        #expect(try await test.accounts.revealedOutcomes(of: caller.account, after: nil, limit: 10).isEmpty)
        #expect(try await test.accounts.testOutcomes(of: caller.account, after: nil, limit: 10).isEmpty)
        #expect(try await test.accounts.webhooks(of: caller.account).isEmpty)
        #expect(try await test.claimAll().isEmpty)
        #expect(
          try await test.accounts.usage(of: caller.account, days: Day(number: 0)...Day(number: 1 << 40)).isEmpty)
        // In the very next group; not even what was answered before is said again.
        let all = [caller, test.alice, test.aliceToo, test.aliceTest]
        #expect(try test.snapshot(all.map { draw($0) }).keys.isEmpty)
        #expect(try test.snapshot(draw(caller)).webhooks.isEmpty)
        let refused = try test.settle(
          [draw(caller, claim: "once"), reveal(caller, open.id), rotate(caller)] + all.map { draw($0) })
        #expect(refused.replies.allSatisfy { $0.status == 401 } && refused.changes.isEmpty)
      }

      let account = caller.account
      let gone = AdministrationError.noAccount(account)
      await #expect(throws: gone) { try await test.accounts.deleteAccount(account) }
      await #expect(throws: gone) { try await test.accounts.createKey(NewAPIKey(mode: .live), of: account) }
      await #expect(throws: gone) { try await test.accounts.createSession(test.session(token, of: caller, hours: 1)) }
      await #expect(throws: gone) {
        try await test.accounts.setSignIn(signIn("x@example.com"), of: account, keeping: nil)
      }
      await #expect(throws: gone) {
        try await test.accounts.createWebhook(
          url: #require(WebhookURL(webhook.url)), secret: try WebhookSecret(), of: account)
      }
      await #expect(throws: AdministrationError.unknownKey(String(caller.keyID.rawValue))) {
        try await test.accounts.revokeKey(caller.keyID, of: account)
      }
      await #expect(throws: AdministrationError.unknownWebhook(webhook.id)) {
        try await test.accounts.deleteWebhook(webhook.id, of: account)
      }
      await #expect(throws: AdministrationError.unknownAccount("alice")) {
        try await test.accounts.createKey(NewAPIKey(mode: .live), forAccountNamed: "alice")
      }
      // Activity that was noticed before and is reported after has nowhere to go.
      try await test.accounts.record([caller.keyID: KeyActivity(denied: 1)])
      // Nobody else has lost anything.
      #expect(try test.settle(draw(test.bob)).reply.status == 200)
    },

    StoreCheck("an account deleted in the midst of its draws draws no more from then on") { test in
      let writer = LedgerWriter(store: test.store, decider: test.decider)
      let accounts = test.accounts
      let statuses = try await withThrowingTaskGroup(of: [Int].self) { group in
        for task in 0..<8 {
          group.addTask {
            var statuses: [Int] = []
            // Until it is refused; the quota would refuse it with another status.
            while statuses.last ?? 200 == 200 {
              statuses.append(
                try await writer.submit(draw([test.alice, test.aliceToo][task % 2], "midst-\(task % 3)")).status)
            }
            return statuses
          }
        }
        // Not before it is in their midst.
        while try await test.store.totals().liveOutcomes < 50 { await Task.yield() }
        try await accounts.deleteAccount(test.alice.account)
        let counted = try await test.store.totals().liveOutcomes
        let statuses = try await group.reduce(into: []) { $0 += $1 }
        #expect(try await test.store.totals().liveOutcomes == counted)
        return statuses
      }
      await writer.drain()
      #expect(statuses.count { $0 == 401 } == 8 || statuses.contains(429))
      #expect(try await test.store.totals().liveOutcomes == statuses.count { $0 == 200 })
    },

    StoreCheck("a deleted account's outcomes stay, its numbers are never given out again, its name and address are") {
      test in
      let made = try test.settle(commit(test.alice)).changes.newCommitments[0]
      var drawn = try test.settle(draw(test.alice), draw(test.aliceToo), rotate(test.alice)).changes.outcomes
      drawn += try test.settle(reveal(test.alice, made.id), draw(test.alice)).changes.outcomes
      let rehearsed = try test.settle(draw(test.aliceTest)).changes.testOutcomes.map(\.1)
      try test.settle(draw(test.bob))
      let last = try await test.accounts.createAccount(name: "last", dailyQuota: nil, signIn: nil)
      let key = try await test.accounts.createKey(NewAPIKey(mode: .live), forAccountNamed: "last")
      let webhook = try await test.accounts.createWebhook(
        url: try #require(WebhookURL("https://one.example/")), secret: WebhookSecret(), of: last.id)
      try await test.accounts.setSignIn(signIn("last@example.com"), of: last.id, keeping: nil)
      drawn += try test.settle(draw(.key(key.id, last.id, .live))).changes.outcomes
      var before: [RecordedOutcome?] = []
      for outcome in drawn + rehearsed { before.append(try await test.store.recordedOutcome(id: outcome.id)) }
      let totals = try await test.store.totals().liveOutcomes
      #expect(totals == drawn.count + 1 && !before.contains(nil))

      try await test.accounts.deleteAccount(test.alice.account)
      try await test.accounts.deleteAccount(last.id)
      try await test.reopen()
      var after: [RecordedOutcome?] = []
      for outcome in drawn + rehearsed { after.append(try await test.store.recordedOutcome(id: outcome.id)) }
      #expect(after == before)
      #expect(try await test.store.totals() == (accounts: 1, liveOutcomes: totals))
      for outcome in drawn {
        #expect(try await test.store.isKnown(outcome.serverHash, clientSeed: outcome.clientSeed))
      }

      let again = try await test.accounts.createAccount(
        name: "last", dailyQuota: nil, signIn: signIn("last@example.com"))
      #expect(again.id > last.id)
      let newKey = try await test.accounts.createKey(NewAPIKey(mode: .live), of: again.id)
      #expect(newKey.id > key.id)
      let newWebhook = try await test.accounts.createWebhook(
        url: #require(WebhookURL(webhook.url)), secret: try WebhookSecret(), of: again.id)
      #expect(newWebhook.id > webhook.id)
      // Its first draw begins a chain of its own.
      let fresh = try test.settle(draw(.key(newKey.id, again.id, .live))).changes.outcomes[0]
      #expect(fresh.nonce == 0 && !drawn.contains { $0.chain == fresh.chain })
    },
  ]
}

private func email(_ text: String) -> EmailAddress { EmailAddress(text)! }

/// The store does not look into the password.
private func signIn(_ address: String, _ password: String = "1") -> SignIn {
  SignIn(email: email(address), password: PasswordHash(text: password))
}

extension StoreUnderTest {
  package typealias Accounts = AccountStore & WebhookStore & EraStore
  package var accounts: any Accounts { store as! any Accounts }
  fileprivate var deliveryStore: any DeliveryStore { store as! any DeliveryStore }

  fileprivate func session(_ token: SessionToken, of caller: Caller, hours: Int64) -> Session {
    Session(digest: token.digest, account: caller.account, created: now, expires: now + hours * hour)
  }

  fileprivate func claimAll() async throws -> [ClaimedDelivery] {
    try await deliveryStore.exchange([], for: DeliveryClaim(limit: 100, perEndpoint: 100, lease: 30_000))
  }
}
