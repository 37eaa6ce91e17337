import Accounts
import Fairness
import Ledger
import Testing

/// What every ``DeliveryStore`` has to do. A ledger's store is one too.
extension StoreConformance {
  static let deliveryChecks = [
    StoreCheck("each draw makes one delivery for each enabled endpoint of its account") { test in
      let first = try await test.webhook("alice")
      let second = try await test.webhook("alice", "https://two.example/hook?a=1")
      let bobs = try await test.webhook("bob")
      #expect(first < second && second < bobs)
      #expect(
        try test.snapshot(draw(test.alice), draw(test.bob)).webhooks == [
          test.alice.account: [WebhookSubscription(first), WebhookSubscription(second)],
          test.bob.account: [WebhookSubscription(bobs)],
        ])
      let settled = try test.settle(
        draw(test.alice), draw(test.aliceToo), draw(test.aliceTest), draw(.anonymous), move(test.alice),
        commitment(test.alice, "new"))
      #expect(settled.changes.deliveries.count == 4)
      try test.settle(
        Submission(
          caller: test.bob, operation: .batch([.draw(.ints("b")), .refused(.badRequest("no")), .draw(.ints("b"))])))
      let claimed = try await test.claim()
      #expect(
        Dictionary(grouping: claimed, by: \.target.endpoint).mapValues(\.count) == [first: 2, second: 2, bobs: 2])
      let recorded = try await test.outcomes(test.alice) + test.outcomes(test.bob, "b")
      for endpoint in [first, second] {
        #expect(claimed.outcomes(endpoint) == recorded.filter { $0.clientSeed != seed("b") }.map(\.withoutItems).byID)
      }
      #expect(claimed.outcomes(bobs) == recorded.filter { $0.clientSeed == seed("b") }.byID)
      #expect(Set(claimed.map(\.id)).count == 6 && claimed.allSatisfy { $0.created == test.now && $0.attempts == 0 })
      #expect(claimed.first { $0.target.endpoint == second }?.target.url?.description == "https://two.example/hook?a=1")
    },

    StoreCheck("an event carries its outcome, of every kind") { test in
      let id = try await test.webhook("alice")
      var drawn: [Outcome] = []
      for request in try DrawRequest.each("test") {
        drawn += try test.settle(Submission(caller: test.alice, operation: .draw(request))).changes.outcomes
      }
      try await test.reopen()
      #expect(try await test.claim().outcomes(id) == drawn.map(\.withoutItems))
    },

    StoreCheck("a reveal's outcome and those of a chain that was rotated since are told too") { test in
      let id = try await test.webhook("alice")
      let made = try test.settle(commit(test.alice)).changes.newCommitments[0]
      var drawn = try test.settle(draw(test.alice), rotate(test.alice), draw(test.alice)).changes.outcomes
      let settled = try test.settle(reveal(test.alice, made.id, "mine"))
      drawn += settled.changes.outcomes
      #expect(settled.changes.deliveries.map(\.outcome) == settled.changes.outcomes.map(\.id))
      #expect(Set(drawn.map(\.serverHash)).count == 3)
      let claimed = try await test.claim()
      #expect(claimed.outcomes(id) == drawn.map(\.withoutItems).byID)
      for delivery in claimed {
        guard case .outcome(let outcome, let isReveal) = delivery.event else { continue }
        #expect(isReveal == settled.changes.outcomes.contains { $0.id == outcome.id })
      }
    },

    StoreCheck("replays, refusals and groups that fail make no deliveries") { test in
      let webhook = try await test.webhook("bob")
      for _ in 0..<3 { try test.settle(draw(test.bob, claim: "a"), draw(test.bob, claim: "a")) }
      try test.settle(draw(test.bob), draw(test.bob))
      #expect(try test.settle(draw(test.bob)).replies.map(\.status) == [429])
      let claimed = try await test.claim()
      #expect(claimed.outcomes(webhook).count == 3)
      #expect(try await test.deliveries.pendingDeliveries() == claimed.count)
      let gone = try await test.accounts.createKey(NewAPIKey(mode: .live), forAccountNamed: "bob")
      _ = try await test.accounts.revokeKey(prefix: gone.prefix)
      #expect(try test.settle(draw(.key(gone.id, gone.account, .live))).replies.map(\.status) == [401])
      #expect(try await test.deliveries.pendingDeliveries() == claimed.count)
    },

    StoreCheck("endpoints made, disabled, enabled and deleted count from the next group on") { test in
      try test.settle(draw(test.alice))
      let id = try await test.webhook("alice")
      try test.settle(draw(test.alice))
      #expect(try await test.deliveries.pendingDeliveries() == 1)
      #expect(try await test.accounts.setWebhook(id, enabled: false, of: nil).isEnabled == false)
      try test.settle(draw(test.alice))
      #expect(try await test.claim().isEmpty)
      #expect(try await test.deliveries.pendingDeliveries() == 1)
      #expect(try await test.accounts.setWebhook(id, enabled: true, of: nil).isEnabled)
      try test.settle(draw(test.alice))
      #expect(try await test.claim().count == 2)
      try await test.accounts.deleteWebhook(id, of: nil)
      try test.settle(draw(test.alice))
      test.now += hour
      #expect(try await test.claim().isEmpty)
      await #expect(throws: AdministrationError.unknownWebhook(id)) {
        try await test.accounts.deleteWebhook(id, of: nil)
      }
      await #expect(throws: AdministrationError.unknownWebhook(id)) {
        try await test.accounts.setWebhook(id, enabled: true, of: nil)
      }
      await #expect(throws: AdministrationError.unknownWebhook(id)) {
        try await test.accounts.createTestDelivery(for: id, of: nil)
      }
      await #expect(throws: AdministrationError.unknownWebhook(id)) {
        try await test.accounts.setWebhookSecret(id, to: WebhookSecret(), of: nil)
      }
      #expect(try await test.accounts.webhooks(of: nil).isEmpty)
      #expect(try await test.webhook("alice") > id)
    },

    StoreCheck("a claim is exclusive until its lease ends") { test in
      _ = try await test.webhook("alice")
      try test.settle((0..<10).map { _ in draw(test.alice) })
      let first = try await test.claim(4)
      let second = try await test.claim()
      #expect(first.count == 4 && second.count == 6)
      #expect(Set((first + second).map(\.id)).count == 10)
      #expect(try await test.claim().isEmpty)
      test.now += lease - 1
      #expect(try await test.claim().isEmpty)
      test.now += 1
      try await test.reopen()
      let again = try await test.claim()
      #expect(Set(again.map(\.id)) == Set((first + second).map(\.id)))
      #expect(Set(again.map(\.claim)).isDisjoint(with: (first + second).map(\.claim)))
    },

    StoreCheck("claims are bounded in all, for each endpoint, and in bytes") { test in
      let one = try await test.webhook("alice")
      let two = try await test.webhook("alice")
      let three = try await test.webhook("alice")
      try test.settle((0..<10).map { _ in draw(test.alice) })
      func counts(_ claim: DeliveryClaim) async throws -> [WebhookEndpointID: Int] {
        Dictionary(grouping: try await test.deliveries.exchange([], for: claim), by: \.target.endpoint).mapValues(
          \.count)
      }
      let allowances = [one: 0, two: 1]
      #expect(
        try await counts(DeliveryClaim(limit: 100, perEndpoint: 3, allowances: allowances, lease: lease)) == [
          two: 1, three: 3,
        ])
      #expect(try await counts(DeliveryClaim(limit: 5, perEndpoint: 100, lease: lease)).values.reduce(0, +) == 5)
      #expect(
        try await counts(DeliveryClaim(limit: 100, perEndpoint: 9, bytes: 1, lease: lease)).values.reduce(0, +) == 1)
      #expect(try await counts(DeliveryClaim(limit: 100, perEndpoint: 100, lease: lease)).values.reduce(0, +) == 20)
    },

    StoreCheck("results: delivered, to be tried again, given up, given back") { test in
      let id = try await test.webhook("alice")
      try test.settle((0..<4).map { _ in draw(test.alice) })
      let claimed = try await test.claim().sorted { $0.id < $1.id }
      let failure = DeliveryAttempt(
        at: test.now, status: 500, latency: 12, error: "the answer was 500", answer: [1, 0, 255])
      let success = DeliveryAttempt(at: test.now, status: 204, latency: 3, error: nil, answer: [])
      try await test.record([
        DeliveryResult(of: claimed[0], .delivered, attempt: success),
        DeliveryResult(of: claimed[1], .retry(at: test.now + 5000), attempt: failure),
        DeliveryResult(of: claimed[2], .dead, attempt: failure),
        DeliveryResult(of: claimed[3], .released, attempt: nil),
      ])
      let reports = try await test.accounts.deliveries(
        of: test.alice.account, endpoint: nil, state: nil, before: nil, limit: 10)
      #expect(reports.map(\.id) == claimed.map(\.id).reversed())
      #expect(reports.map(\.state) == [.pending, .dead, .pending, .delivered])
      #expect(reports.map(\.attempts) == [[], [failure], [failure], [success]])
      #expect(reports.map(\.due) == [test.now, nil, test.now + 5000, nil])
      #expect(reports.allSatisfy { $0.endpoint == id && $0.account == "alice" && $0.outcome != nil })
      #expect(try await test.claim().map(\.id) == [claimed[3].id])
      test.now += 4999
      #expect(try await test.claim().isEmpty)
      test.now += 1
      let again = try await test.claim()
      #expect(again.map(\.id) == [claimed[1].id] && again.map(\.attempts) == [1])
      for state in DeliveryState.allCases {
        let found = try await test.accounts.deliveries(of: nil, endpoint: nil, state: state, before: nil, limit: 10)
        #expect(found.map(\.id) == reports.filter { $0.state == state }.map(\.id))
      }
      func newest(_ account: AccountID?) async throws -> [DeliveryID] {
        try await test.accounts.deliveries(of: account, endpoint: nil, state: nil, before: nil, limit: 1).map(\.id)
      }
      #expect(try await newest(test.bob.account) == [])
      #expect(try await newest(nil) == [claimed[3].id])
    },

    StoreCheck("a late failure changes nothing, a late success counts") { test in
      _ = try await test.webhook("alice")
      try test.settle(draw(test.alice))
      let slow = try await test.claim()
      test.now += lease
      let quick = try await test.claim()
      let failure = DeliveryAttempt(at: test.now, status: nil, latency: 10_000, error: "no answer", answer: [])
      try await test.record([DeliveryResult(of: slow[0], .dead, attempt: failure)])
      try await test.record([DeliveryResult(of: slow[0], .released, attempt: nil)])
      #expect(try await test.claim().isEmpty)
      let pending = try await test.report()
      #expect(pending.state == .pending && pending.attempts.isEmpty)
      let success = DeliveryAttempt(at: test.now, status: 200, latency: 10, error: nil, answer: [])
      try await test.record([DeliveryResult(of: slow[0], .delivered, attempt: success)])
      #expect(try await test.report().state == .delivered)
      try await test.record([DeliveryResult(of: quick[0], .retry(at: test.now), attempt: failure)])
      try await test.record([DeliveryResult(of: quick[0], .delivered, attempt: success)])
      let delivered = try await test.report()
      #expect(delivered.state == .delivered && delivered.attempts == [success])
      test.now += hour
      #expect(try await test.claim().isEmpty)
    },

    StoreCheck("a result may disable the endpoint; what is pending waits") { test in
      let id = try await test.webhook("alice")
      try test.settle(draw(test.alice), draw(test.alice))
      let claimed = try await test.claim(1)
      let gone = DeliveryAttempt(at: test.now, status: 410, latency: 1, error: "the answer was 410", answer: [])
      try await test.record([DeliveryResult(of: claimed[0], .dead, attempt: gone, isGone: true)])
      let webhook = try #require(try await test.accounts.webhooks(of: test.alice.account).first)
      #expect(!webhook.isEnabled && webhook.disabledReason == "it answered 410 Gone" && webhook.id == id)
      #expect(try test.snapshot(draw(test.alice)).webhooks.isEmpty)
      try test.settle(draw(test.alice))
      #expect(try await test.claim().isEmpty)
      await #expect(throws: AdministrationError.webhookDisabled(id)) {
        try await test.accounts.resendDelivery(claimed[0].id, of: nil)
      }
      await #expect(throws: AdministrationError.webhookDisabled(id)) {
        try await test.accounts.createTestDelivery(for: id, of: nil)
      }
      _ = try await test.accounts.setWebhook(id, enabled: true, of: nil)
      #expect(try await test.claim().count == 1)
    },

    StoreCheck("a delivery that is sent again begins anew, under its id") { test in
      let id = try await test.webhook("alice")
      try test.settle(draw(test.alice))
      let failure = DeliveryAttempt(at: test.now, status: 500, latency: 1, error: "no", answer: [])
      try await test.record([DeliveryResult(of: try await test.claim()[0], .dead, attempt: failure)])
      test.now += 3 * day
      let dead = try await test.report()
      try await test.accounts.resendDelivery(dead.id, of: nil)
      let again = try await test.claim()
      #expect(again.map(\.id) == [dead.id] && again[0].attempts == 0)
      #expect(again[0].since == test.now && again[0].created == dead.created)
      let success = DeliveryAttempt(at: test.now, status: 200, latency: 1, error: nil, answer: [])
      try await test.record([DeliveryResult(of: again[0], .delivered, attempt: success)])
      #expect(try await test.report().attempts == [failure, success])
      try await test.accounts.resendDelivery(dead.id, of: nil)
      #expect(try await test.claim().map(\.id) == [dead.id])
      await #expect(throws: AdministrationError.unknownDelivery(DeliveryID(99))) {
        try await test.accounts.resendDelivery(DeliveryID(99), of: nil)
      }
      try await test.accounts.deleteWebhook(id, of: nil)
      await #expect(throws: AdministrationError.unknownDelivery(dead.id)) {
        try await test.accounts.resendDelivery(dead.id, of: nil)
      }
    },

    StoreCheck("the latest attempts are kept") { test in
      _ = try await test.webhook("alice")
      try test.settle(draw(test.alice))
      for number in 1...DeliveryAttempt.kept + 5 {
        let attempt = DeliveryAttempt(at: test.now, status: nil, latency: Int64(number), error: "no", answer: [])
        try await test.record([DeliveryResult(of: try await test.claim()[0], .retry(at: test.now), attempt: attempt)])
      }
      #expect(try await test.report().attempts.map(\.latency) == (6...Int64(DeliveryAttempt.kept + 5)).map { $0 })
      #expect(try await test.claim()[0].attempts == DeliveryAttempt.kept + 5)
    },

    StoreCheck("both secrets sign for a day after a rotation") { test in
      let (first, second, third) = try (WebhookSecret(), WebhookSecret(), WebhookSecret())
      let id = try await test.accounts.createWebhook(
        url: try #require(WebhookURL("https://one.example")), secret: first, of: test.alice.account
      ).id
      func secrets() async throws -> [WebhookSecret] {
        try test.settle(draw(test.aliceToo, "again"))
        return try #require(try await test.claim().first).target.secrets
      }
      #expect(try await secrets() == [first])
      try await test.accounts.setWebhookSecret(id, to: second, of: nil)
      #expect(try await secrets() == [second, first])
      try await test.accounts.setWebhookSecret(id, to: second, of: nil)
      test.now += day - 1
      #expect(try await secrets() == [second, first])
      test.now += 1
      #expect(try await secrets() == [second])
      try await test.accounts.setWebhookSecret(id, to: third, of: nil)
      try await test.reopen()
      #expect(try await secrets() == [third, second])
    },

    StoreCheck("test events are deliveries without an outcome") { test in
      let id = try await test.webhook("alice")
      let delivery = try await test.accounts.createTestDelivery(for: id, of: nil)
      let claimed = try await test.claim()
      #expect(claimed.map(\.id) == [delivery] && claimed.map(\.event) == [.test])
      #expect(try await test.report().outcome == nil)
    },

    StoreCheck("webhooks are listed as they were made") { test in
      let ids = [try await test.webhook("bob"), try await test.webhook("alice"), try await test.webhook("bob")]
      let all = try await test.accounts.webhooks(of: nil)
      let (alice, bob) = (test.alice.account, test.bob.account)
      #expect(all.map(\.id) == ids && all.map(\.account) == [bob, alice, bob])
      #expect(all.allSatisfy { $0.isEnabled && $0.disabledReason == nil && $0.created == test.now })
      #expect(try await test.accounts.webhooks(of: alice).map(\.id) == [ids[1]])
      await #expect(throws: AdministrationError.unknownAccount("carol")) { try await test.webhook("carol") }
      #expect(try await test.accounts.webhooks(of: AccountID(999)) == [])
    },

    StoreCheck("an account has a bounded number of webhooks") { test in
      var ids: [WebhookEndpointID] = []
      for _ in 0..<maximumWebhooks { ids.append(try await test.webhook("alice")) }
      await #expect(throws: AdministrationError.tooManyWebhooks("alice")) { try await test.webhook("alice") }
      _ = try await test.webhook("bob")
      try await test.accounts.deleteWebhook(ids[3], of: nil)
      _ = try await test.webhook("alice")
    },

    StoreCheck("finished deliveries are swept in time, pending ones never, and no id comes again") { test in
      let kept = try await test.webhook("alice")
      let deleted = try await test.webhook("bob")
      try test.settle((0..<3).map { _ in draw(test.alice) } + [draw(test.bob)])
      let success = DeliveryAttempt(at: test.now, status: 200, latency: 1, error: nil, answer: [])
      let failure = DeliveryAttempt(at: test.now, status: 500, latency: 1, error: "no", answer: [])
      let claimed = try await test.claim().filter { $0.target.endpoint == kept }.sorted { $0.id < $1.id }
      try await test.record([
        DeliveryResult(of: claimed[0], .delivered, attempt: success),
        DeliveryResult(of: claimed[1], .dead, attempt: failure),
      ])
      func left() async throws -> [DeliveryID] {
        while try await test.deliveries.sweepDeliveries() {}
        return try await test.accounts.deliveries(
          of: test.alice.account, endpoint: nil, state: nil, before: nil, limit: 100
        ).map(\.id)
      }
      test.now += DeliveryRetention.delivered - 1
      #expect(try await left() == claimed.map(\.id).reversed())
      test.now += 1
      #expect(try await left() == [claimed[2].id, claimed[1].id])
      test.now += DeliveryRetention.dead
      #expect(try await left() == [claimed[2].id])
      try await test.accounts.deleteWebhook(deleted, of: nil)
      _ = try await left()
      #expect(try await test.deliveries.pendingDeliveries() == 1)
      _ = try await left()
      let next = try await test.accounts.createTestDelivery(for: kept, of: nil)
      #expect(next.rawValue == 5)
    },
  ]
}

let lease: Milliseconds = 30_000

extension StoreUnderTest {
  var deliveries: any DeliveryStore { store as! any DeliveryStore }

  @discardableResult
  func webhook(
    _ account: String, _ url: String = "https://one.example/"
  ) async throws -> WebhookEndpointID {
    try await accounts.createWebhook(
      url: try #require(WebhookURL(url)), secret: WebhookSecret(), of: accounts.existingAccount(named: account).id
    ).id
  }

  func claim(_ limit: Int = 10_000) async throws -> [ClaimedDelivery] {
    try await deliveries.exchange(
      [], for: DeliveryClaim(limit: limit, perEndpoint: limit, bytes: 1 << 30, lease: lease))
  }

  func record(_ results: [DeliveryResult]) async throws {
    #expect(try await deliveries.exchange(results, for: nil).isEmpty)
  }

  /// Claims all that is due, and reports the same of each.
  func attempt(_ verdict: DeliveryResult.Verdict, status: Int) async throws {
    let error = verdict == .delivered ? nil : "the answer was \(status)"
    let attempt = DeliveryAttempt(at: now, status: status, latency: 1, error: error, answer: [])
    try await record(try await claim().map { DeliveryResult(of: $0, verdict, attempt: attempt) })
  }

  /// The newest delivery.
  func report() async throws -> DeliveryReport {
    try #require(
      try await accounts.deliveries(of: nil, endpoint: nil, state: nil, before: nil, limit: 1).first)
  }
}

extension [ClaimedDelivery] {
  /// The outcomes that are told to an endpoint, in their order.
  func outcomes(_ endpoint: WebhookEndpointID) -> [Outcome] {
    filter { $0.target.endpoint == endpoint }.compactMap {
      if case .outcome(let outcome, _) = $0.event { outcome } else { nil }
    }.byID
  }
}

extension [Outcome] {
  var byID: [Outcome] { sorted { $0.id < $1.id } }
}
