import Fairness
import Ledger
import Testing

/// One bad row is one bad answer. Rows are damaged by SQL that every database understands, from outside.
extension StoreConformance {
  static let damageChecks = [
    StoreCheck("a damaged or set back chain fails alone, and draws on once it is repaired") { test in
      let carol = try await test.carol()
      let first = try test.settle(draw(test.alice), draw(test.alice), draw(test.alice, "other")).changes
      let chain = try #require(first.newChains.first { $0.key.clientSeed == seed("test") }).id
      let other = try #require(first.newChains.first { $0.key.clientSeed == seed("other") }).id
      try test.sql("CREATE TABLE early AS SELECT * FROM chains")
      try test.settle(rotate(test.alice), move(test.alice), draw(test.alice), draw(test.alice))
      func of(_ column: String, _ table: String, _ id: Int64) -> String {
        "\(column) = (SELECT k.\(column) FROM \(table) k WHERE k.id = \(id))"
      }
      let damages =
        [
          "server_hash = substr(server_hash, 1, 5)", "server_hash = substr(server_hash, 1, 0)",
          of("server_hash", "chains", other), "trail = substr(trail, 1, 1)",
          of("trail", "chains", other), "trail = server_hash",
          // Put back, to coordinates that were used.
          "nonce = 3", "nonce = 2", "nonce = 0", "cursor = 0",
          // Put back, to a server seed that was revealed; the whole row too.
          "epoch = 0", "epoch = 0, " + of("server_hash", "early", chain),
          ["server_hash", "epoch", "cursor", "nonce", "trail"].map { of($0, "early", chain) }.joined(separator: ", "),
        ]
        + ["era = 1"]
        + ["nonce", "cursor", "era", "epoch", "created"].flatMap { column in
          ["-1", "-9223372036854775807", "9223372036854775807"].map { "\(column) = \($0)" }
        }
      var drawn = 4
      for (round, damage) in damages.enumerated() {
        try test.sql("CREATE TABLE kept AS SELECT * FROM chains WHERE id = \(chain)")
        try test.sql("UPDATE chains SET \(damage) WHERE id = \(chain)")
        if round % 2 == 0 { try await test.reopen() }
        let batch = Submission(caller: test.alice, operation: .batch(["other", "test"].map { .draw(.ints($0)) }))
        let settled = try test.settle(
          draw(test.alice, claim: "\(round)"), draw(test.alice, "other"), draw(carol), draw(.anonymous),
          commitment(test.alice), move(test.alice), rotate(test.alice), batch)
        #expect(settled.replies.map(\.status) == [500, 200, 200, 200, 500, 500, 500, 200], "\(damage)")
        #expect(settled.changes.outcomes.count == 4 && settled.changes.records.isEmpty, "\(damage)")
        let body = String(decoding: settled.replies[7].body, as: UTF8.self)
        #expect(body.contains(#""ok":true"#) && body.contains(#""code":"damaged""#), "\(damage)")
        for reply in [settled.replies[0], settled.replies[7]] {
          let fault = try #require(reply.fault)
          #expect(fault.kind == .damaged && fault.description.contains("chain \(chain)"), "\(damage)")
          #expect(!fault.description.contains("test"), "\(damage)")
        }
        let columns = ["server_hash", "era", "epoch", "cursor", "nonce", "trail", "created"]
        try test.sql(
          "UPDATE chains SET \(columns.map { of($0, "kept", chain) }.joined(separator: ", ")) WHERE id = \(chain)")
        try test.sql("DROP TABLE kept")
        #expect(try test.settle(draw(test.alice)).changes.outcomes.map(\.nonce) == [Int64(drawn)])
        drawn += 1
      }
      #expect(try await test.outcomes(test.alice).map(\.nonce) == (0..<Int64(drawn)).reversed())
    },

    StoreCheck("a chain whose newest outcome is gone or not its own fails alone") { test in
      let chain = try #require(test.settle(draw(test.alice), draw(test.alice)).changes.newChains.first).id
      try test.settle(draw(test.alice, "other"))
      let newest = try #require(await test.outcomes(test.alice).first).id
      for damage in [
        "DELETE FROM outcomes", "UPDATE outcomes SET chain_id = \(chain + 1)", "UPDATE outcomes SET nonce = 7",
        "UPDATE outcomes SET cursor = 1", "UPDATE outcomes SET epoch = 1",
        "UPDATE outcomes SET created = 9223372036854775807",
      ] {
        try test.sql("CREATE TABLE kept AS SELECT * FROM outcomes WHERE id = \(newest)")
        try test.sql("\(damage) WHERE id = \(newest)")
        try await test.reopen()
        let settled = try test.settle(draw(test.alice), draw(test.alice, "other"))
        #expect(settled.replies.map(\.status) == [500, 200], "\(damage)")
        #expect(settled.snapshot.now == test.now, "\(damage)")
        try test.sql("DELETE FROM outcomes WHERE id = \(newest)")
        try test.sql("INSERT INTO outcomes SELECT * FROM kept")
        try test.sql("DROP TABLE kept")
      }
      #expect(try test.settle(draw(test.alice)).changes.outcomes.map(\.nonce) == [2])
    },

    StoreCheck("a damaged idempotency record fails its own key") { test in
      try test.settle(draw(test.alice, claim: "a"), draw(test.alice, claim: "b"))
      try test.sql("CREATE TABLE kept AS SELECT * FROM idempotency")
      for damage in [
        "status = 999", "status = 0", "status = -1", "created = 9223372036854775807", "created = -9223372036854775807",
        "answer = substr(answer, 1, 3)", "answer = substr(answer, 1, 0)",
      ] {
        // The one that tells of the first outcome.
        try test.sql(
          "UPDATE idempotency SET \(damage) WHERE answer = (SELECT answer FROM kept ORDER BY answer LIMIT 1)")
        let settled = try test.settle(draw(test.alice, claim: "a"), draw(test.alice, claim: "b"), draw(test.alice))
        #expect(settled.replies.map(\.status) == [500, 200, 200], "\(damage)")
        #expect(settled.replies.map(\.isReplay) == [false, true, false], "\(damage)")
        #expect(settled.replies[0].fault?.kind == .damaged)
        try test.sql("DELETE FROM idempotency")
        try test.sql("INSERT INTO idempotency SELECT * FROM kept")
      }
      #expect(try test.settle(draw(test.alice, claim: "a")).reply.isReplay)
    },

    StoreCheck("an answer whose outcome was changed is a fault, not another answer") { test in
      let (a, b) = (draw(test.alice, claim: "a"), draw(test.alice, claim: "b"))
      let first = try test.settle(a, b)
      try test.sql("CREATE TABLE kept AS SELECT * FROM outcomes")
      let changed = first.changes.outcomes[0].id
      for damage in [
        "value = fields", "fields = value", "created = created + 1", "nonce = nonce + 7", "endpoint = 99",
        "chain_id = 99", "id = 99",
      ] {
        try test.sql("UPDATE outcomes SET \(damage) WHERE id = \(changed)")
        let replies = try test.settle(a, b).replies
        #expect(replies.map(\.status) == [500, 200] && replies[1].body == first.replies[1].body, "\(damage)")
        #expect(replies[0].fault?.kind == .damaged, "\(damage)")
        await #expect(throws: StoreFailure.self, "\(damage)") {
          try await test.store.idempotencyRecord(test.alice.claim("a").scope)
        }
        try test.sql("DELETE FROM outcomes")
        try test.sql("INSERT INTO outcomes SELECT * FROM kept")
      }
      #expect(try test.settle(a, b).replies.map(\.body) == first.replies.map(\.body))
    },

    StoreCheck("a damaged commitment fails its own reveal, and a used one cannot be used again") { test in
      let made = try test.settle(commit(test.alice), commit(test.alice)).changes.newCommitments
      for damage in ["sealed_seed = substr(sealed_seed, 1, 9)", "expires = 9223372036854775807", "created = -1"] {
        try test.sql("CREATE TABLE kept AS SELECT * FROM commitments")
        try test.sql("UPDATE commitments SET \(damage) WHERE chain_id = \(made[0].chain)")
        let settled = try test.settle(reveal(test.alice, made[0].id), draw(test.alice))
        #expect(settled.replies.map(\.status) == [500, 200], "\(damage)")
        try test.sql("DELETE FROM commitments")
        try test.sql("INSERT INTO commitments SELECT * FROM kept")
        try test.sql("DROP TABLE kept")
      }
      #expect(try test.settle(reveal(test.alice, made[0].id)).reply.status == 200)
      let chain = made[0].chain
      try test.sql("UPDATE commitments SET revealed = NULL WHERE chain_id = \(chain)")
      #expect(
        try test.settle(reveal(test.alice, made[0].id), draw(test.alice)).replies.map(\.status) == [500, 200])
      try test.sql("UPDATE commitments SET outcome_id = NULL, client_seed = NULL WHERE chain_id = \(chain)")
      for clientSeed in ["test", "another"] {
        let failure = #expect(throws: StoreFailure.self) {
          try test.settle(reveal(test.alice, made[0].id, clientSeed), draw(test.alice))
        }
        #expect(failure?.kind == .damaged && failure?.isOfWholeStore == false)
      }
      // The writer then tries each for itself.
      let writer = LedgerWriter(store: test.store, decider: test.decider)
      async let again = writer.result(of: reveal(test.alice, made[0].id))
      async let neighbour = writer.result(of: draw(test.alice))
      async let second = writer.result(of: reveal(test.alice, made[1].id))
      #expect(await again == nil)
      #expect(await neighbour == 200)
      #expect(await second == 200)
      await writer.drain()
    },

    StoreCheck("a damaged test outcome fails its own draw") { test in
      try test.settle(draw(test.aliceTest), draw(test.aliceTest, "other"))
      try test.sql("CREATE TABLE kept AS SELECT * FROM test_outcomes")
      for damage in ["endpoint = 99", "created = 9223372036854775807", "server_hash = substr(server_hash, 1, 3)"] {
        try test.sql("UPDATE test_outcomes SET \(damage) WHERE id = (SELECT min(id) FROM kept)")
        let settled = try test.settle(draw(test.aliceTest), draw(test.aliceTest, "other"), draw(test.alice))
        #expect(settled.replies.map(\.status).sorted() == [200, 200, 500], "\(damage)")
        #expect(settled.changes.testOutcomes.isEmpty)
        try test.sql("DELETE FROM test_outcomes")
        try test.sql("INSERT INTO test_outcomes SELECT * FROM kept")
      }
      #expect(try test.settle(draw(test.aliceTest)).reply.status == 200)
    },

    StoreCheck("usage beyond all counting is a quota that is spent, and its account's alone") { test in
      let dice = Submission(
        caller: test.alice,
        operation: .draw(DrawRequest(clientSeed: seed("d"), generator: .dice(try DiceNotation("d6")))))
      try test.settle(draw(test.alice), dice)
      try test.sql("UPDATE usage SET count = 9223372036854775807 WHERE account_id = \(test.alice.account.rawValue)")
      let statuses = try test.settle(draw(test.alice), draw(test.bob), draw(.anonymous)).replies.map(\.status)
      #expect(statuses == [429, 200, 200] || statuses == [500, 200, 200])
      try test.sql("UPDATE usage SET count = 1 WHERE account_id = \(test.alice.account.rawValue)")
      #expect(try test.settle(draw(test.alice)).reply.status == 200)
    },

    StoreCheck("a day that no calendar has moves no time") { test in
      try test.settle(draw(test.alice))
      for day in ["4611686018427387904", "9223372036854775807", "-9223372036854775807"] {
        try test.sql("INSERT INTO merkle_days (day) VALUES (\(day))")
        try await test.reopen()
        let settled = try test.settle(draw(test.alice))
        #expect(settled.reply.status == 200 && settled.snapshot.now == test.now, "\(day)")
        try test.sql("DELETE FROM merkle_days")
      }
    },

    StoreCheck("a damaged webhook or delivery keeps nobody else's from being claimed, and can be given up") { test in
      let store = test.store as! any DeliveryStore
      func webhook(_ caller: Caller, _ path: String) async throws -> WebhookEndpointID {
        try await test.accounts.createWebhook(
          url: try #require(WebhookURL("https://example.com/\(path)")), secret: WebhookSecret(), of: caller.account
        ).id
      }
      func claim() async throws -> [ClaimedDelivery] {
        try await store.exchange([], for: DeliveryClaim(limit: 100, perEndpoint: 100, lease: 1))
      }
      let bad = try await webhook(test.alice, "bad")
      let good = try await webhook(test.bob, "good")
      for damage in ["sealed_secret = substr(sealed_secret, 1, 7)", "url = 'nonsense'", "url = ''"] {
        try test.sql("CREATE TABLE kept AS SELECT url, sealed_secret FROM webhook_endpoints WHERE id = \(bad.rawValue)")
        try test.sql("UPDATE webhook_endpoints SET \(damage) WHERE id = \(bad.rawValue)")
        for id in [bad, good] { _ = try await test.accounts.createTestDelivery(for: id, of: nil) }
        let claimed = try await claim()
        #expect(claimed.count == 2, "\(damage)")
        for delivery in claimed {
          let isBad = delivery.target.endpoint == bad
          #expect((delivery.fault != nil) == isBad && (delivery.target.url == nil) == isBad, "\(damage)")
          if isBad { #expect(delivery.fault?.contains("webhook \(bad.rawValue)") == true) }
        }
        let listed = try await test.accounts.webhooks(of: nil)
        #expect(listed.map { $0.fault != nil } == [true, false], "\(damage)")
        let attempt = DeliveryAttempt(at: test.now, status: nil, latency: 0, error: "damaged", answer: [])
        _ = try await store.exchange(claimed.map { DeliveryResult(of: $0, .dead, attempt: attempt) }, for: nil)
        #expect(try await store.pendingDeliveries() == 0)
        try test.sql(
          """
          UPDATE webhook_endpoints SET url = (SELECT url FROM kept), sealed_secret = (SELECT sealed_secret FROM kept)
          WHERE id = \(bad.rawValue)
          """)
        try test.sql("DROP TABLE kept")
      }
      // A secret that is damaged can be replaced.
      try test.sql(
        "UPDATE webhook_endpoints SET sealed_secret = substr(sealed_secret, 1, 7) WHERE id = \(bad.rawValue)")
      try await test.accounts.setWebhookSecret(bad, to: WebhookSecret(), of: nil)
      #expect(try await test.accounts.webhooks(of: test.alice.account)[0].fault == nil)
      // Rows of deliveries, and the outcomes they tell of.
      for damage in [
        "UPDATE deliveries SET attempts = 9223372036854775807", "UPDATE deliveries SET created = 9223372036854775807",
        "UPDATE deliveries SET resent = -9223372036854775807", "UPDATE deliveries SET outcome_id = 987654321",
        "UPDATE deliveries SET outcome_id = -1",
      ] {
        try test.settle(draw(test.alice))
        try test.sql("\(damage) WHERE due IS NOT NULL")
        _ = try await test.accounts.createTestDelivery(for: good, of: nil)
        let claimed = try await claim()
        #expect(claimed.count == 2, "\(damage)")
        let attempt = DeliveryAttempt(at: test.now, status: 200, latency: 0, error: nil, answer: [])
        _ = try await store.exchange(claimed.map { DeliveryResult(of: $0, .delivered, attempt: attempt) }, for: nil)
        #expect(try await store.pendingDeliveries() == 0, "\(damage)")
        if !damage.contains("attempts") {
          #expect(claimed.first { $0.target.endpoint == bad }?.fault != nil, "\(damage)")
        }
      }
      try test.sql("UPDATE delivery_attempts SET number = 9223372036854775807")
      _ = try await test.accounts.createTestDelivery(for: good, of: nil)
      let last = try await claim()
      let attempt = DeliveryAttempt(at: test.now, status: 500, latency: 0, error: "no", answer: [])
      _ = try await store.exchange(last.map { DeliveryResult(of: $0, .dead, attempt: attempt) }, for: nil)
      #expect(try await store.pendingDeliveries() == 0)
    },

    StoreCheck("a published day that is damaged fails its own look-ups") { test in
      try test.settle(draw(test.alice))
      let log = test.store as! any TransparencyStore
      for values in [
        "(20454, NULL, NULL, NULL, NULL, 1)", "(20454, NULL, 9223372036854775807, NULL, NULL, 1)",
        "(20454, NULL, -1, NULL, NULL, 1)",
      ] {
        try test.sql(
          "INSERT INTO merkle_days (day, root, leaf_count, previous_root, signature, published) VALUES \(values)")
        let failure = await #expect(throws: StoreFailure.self) { try await log.publishedDay(Day(number: 20454)) }
        #expect(failure?.kind == .damaged)
        #expect(try await log.publishedDay(Day(number: 20453)) == nil)
        try test.sql("DELETE FROM merkle_days")
      }
    },

    StoreCheck("reading what is damaged says so") { test in
      let settled = try test.settle(draw(test.alice), draw(test.alice, "other")).changes
      let outcome = settled.outcomes[0]
      for damage in ["endpoint = 99", "nonce = -1", "created = 9223372036854775807"] {
        try test.sql("CREATE TABLE kept AS SELECT * FROM outcomes WHERE id = \(outcome.id)")
        try test.sql("UPDATE outcomes SET \(damage) WHERE id = \(outcome.id)")
        let failure = await #expect(throws: StoreFailure.self) { try await test.store.recordedOutcome(id: outcome.id) }
        #expect(failure?.kind == .damaged, "\(damage)")
        let listing = await #expect(throws: StoreFailure.self) { try await test.outcomes(test.alice) }
        #expect(listing?.kind == .damaged, "\(damage)")
        #expect(try await test.outcomes(test.alice, "other").count == 1)
        try test.sql("DELETE FROM outcomes WHERE id = \(outcome.id)")
        try test.sql("INSERT INTO outcomes SELECT * FROM kept")
        try test.sql("DROP TABLE kept")
      }
      try test.sql("UPDATE chains SET trail = substr(trail, 1, 1) WHERE id = \(outcome.chain)")
      let failure = await #expect(throws: StoreFailure.self) { try await test.outcomes(test.alice) }
      #expect(failure?.kind == .damaged)
    },
  ]
}

extension LedgerWriter {
  /// The status of the answer; nil for a damaged record.
  fileprivate func result(of submission: Submission) async -> Int? {
    do throws(LedgerUnavailable) {
      return try await submit(submission).status
    } catch {
      guard case .storeFailed(let failure) = error, failure.kind == .damaged else { return -1 }
      return nil
    }
  }
}
