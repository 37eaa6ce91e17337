import Accounts
import Fairness
import Ledger
import Testing

/// What endpoints are told of, when they are disabled, and sending deliveries again.
extension StoreConformance {
  static let webhookChecks = [
    StoreCheck("an endpoint is told of the types of events that it wants") { test in
      let secret = try WebhookSecret()
      let url = try #require(WebhookURL("https://one.example"))
      let made = try await test.accounts.createWebhook(
        url: url, secret: secret, events: .quotaReached, of: test.alice.account)
      #expect(made.events == .quotaReached && made.publicKey?.hasPrefix("whpk_") == true)
      try test.settle(draw(test.alice))
      #expect(try await test.claim().isEmpty)
      let other = try #require(WebhookURL("https://two.example"))
      let changed = try await test.accounts.changeWebhook(
        made.id, WebhookChange(url: other, events: [.outcomeCreated, .quotaReached]), of: test.alice.account)
      #expect(changed.events == [.outcomeCreated, .quotaReached] && changed.url == other.description)
      #expect(changed.isEnabled && changed.publicKey == made.publicKey)
      #expect(try await test.accounts.webhooks(of: test.alice.account) == [changed])
      try test.settle(draw(test.alice))
      #expect(try await test.claim().map(\.target.url) == [other])
      await #expect(throws: AdministrationError.unknownWebhook(made.id)) {
        try await test.accounts.changeWebhook(made.id, WebhookChange(events: .all), of: test.bob.account)
      }
      try await test.accounts.setWebhookSecret(made.id, to: WebhookSecret(), of: nil)
      #expect(try await test.accounts.webhooks(of: nil)[0].publicKey != made.publicKey)
    },

    StoreCheck("deliveries of a time range are sent again, a bounded number at a time") { test in
      let id = try await test.webhook("alice")
      let other = try await test.webhook("alice")
      for _ in 0..<3 {
        try test.settle(draw(test.alice), draw(test.alice))
        try await test.attempt(.dead, status: 500)
        test.now += hour
      }
      try test.settle(draw(test.alice))
      try await test.attempt(.delivered, status: 200)
      let (now, began) = (test.now, test.now - 3 * hour)
      func resend(_ range: ClosedRange<Milliseconds>, _ state: DeliveryState) async throws -> Int {
        let done = try await test.accounts.resendDeliveries(
          of: id, made: range, state: state, after: nil, of: test.alice.account)
        #expect(done.last == nil)
        return done.count
      }
      #expect(try await resend(began + 1...began + hour, .dead) == 2)
      let again = try await test.claim()
      #expect(again.count == 2 && again.allSatisfy { $0.target.endpoint == id && $0.attempts == 0 && $0.since == now })
      #expect(again.allSatisfy { $0.created == began + hour })
      #expect(try await resend(began...now, .dead) == 4)
      #expect(try await resend(began...now, .delivered) == 1)
      #expect(try await resend(began...now, .delivered) == 0)
      await #expect(throws: AdministrationError.unknownWebhook(other)) {
        try await test.accounts.resendDeliveries(
          of: other, made: began...now, state: .dead, after: nil, of: test.bob.account)
      }
      _ = try await test.accounts.setWebhook(other, enabled: false, of: nil)
      await #expect(throws: AdministrationError.webhookDisabled(other)) {
        try await test.accounts.resendDeliveries(of: other, made: began...now, state: .dead, after: nil, of: nil)
      }
      // More than fit into one transaction go on where the last ended.
      _ = try await test.accounts.setWebhook(other, enabled: true, of: nil)
      test.now += hour
      let later = test.now
      for _ in 0...resentAtOnce { _ = try await test.accounts.createTestDelivery(for: other, of: nil) }
      try await test.attempt(.delivered, status: 200)
      let first = try await test.accounts.resendDeliveries(
        of: other, made: later...later, state: .delivered, after: nil, of: nil)
      #expect(first.count == resentAtOnce && first.last != nil)
      let rest = try await test.accounts.resendDeliveries(
        of: other, made: later...later, state: .delivered, after: first.last, of: nil)
      #expect(rest.count == 1 && rest.last == nil)
    },

    StoreCheck("rotations and a quota that is used up are told, once, to the endpoints that want that") { test in
      let all = try await test.webhook("bob")
      let url = try #require(WebhookURL("https://two.example"))
      let quota = try await test.accounts.createWebhook(
        url: url, secret: try WebhookSecret(), events: .quotaReached, of: test.bob.account
      ).id
      let rotated = try test.settle(draw(test.bob), rotate(test.bob))
      #expect(rotated.changes.accountEvents.map(\.endpoint) == [all])
      while try test.settle(draw(test.bob)).replies[0].status == 200 {}
      try test.settle(draw(test.bob))
      try await test.reopen()
      func told(_ type: WebhookEvents) async throws -> [WebhookEndpointID: [[UInt8]]] {
        let claimed = try await test.claim()
        test.now += lease
        return Dictionary(grouping: claimed, by: \.target.endpoint).compactMapValues { deliveries in
          let data = deliveries.compactMap { if case .account(type, let data) = $0.event { data } else { nil } }
          return data.isEmpty ? nil : data
        }
      }
      #expect(try await told(.chainRotated) == [all: [rotated.replies[1].body]])
      let reached = try await told(.quotaReached)
      #expect(Set(reached.keys) == [all, quota] && reached[all] == reached[quota] && reached[all]?.count == 1)
      let reports = try await test.accounts.deliveries(
        of: test.bob.account, endpoint: quota, state: nil, before: nil, limit: 9)
      #expect(reports.map(\.event) == ["quota.reached"] && reports.map(\.outcome) == [nil])
    },

    StoreCheck("five days without a success disable the endpoint") { test in
      let id = try await test.webhook("alice")
      try test.settle(draw(test.alice))
      try await test.attempt(.retry(at: test.now), status: 500)
      test.now += 5 * day - 1
      try await test.attempt(.retry(at: test.now), status: 500)
      #expect(try await test.accounts.webhooks(of: nil).map(\.isEnabled) == [true])
      // A success ends it.
      try await test.attempt(.delivered, status: 200)
      try test.settle(draw(test.alice))
      test.now += 1
      try await test.attempt(.retry(at: test.now), status: 500)
      test.now += 5 * day
      let other = try await test.webhook("bob")
      try test.settle(draw(test.bob))
      try await test.attempt(.retry(at: test.now), status: 500)
      let webhooks = try await test.accounts.webhooks(of: nil)
      #expect(webhooks.map(\.id) == [id, other] && webhooks.map(\.isEnabled) == [false, true])
      #expect(webhooks[0].disabledReason == "no delivery has succeeded for five days")
      #expect(try test.snapshot(draw(test.alice)).webhooks.isEmpty)
      // Enabled again, it has five days again.
      _ = try await test.accounts.setWebhook(id, enabled: true, of: nil)
      try await test.attempt(.retry(at: test.now), status: 500)
      #expect(try await test.accounts.webhooks(of: nil).map(\.isEnabled) == [true, true])
    },

    StoreCheck("a first failure after a long silence does not disable the endpoint, a second does") { test in
      _ = try await test.webhook("alice")
      try test.settle(draw(test.alice))
      try await test.attempt(.dead, status: 500)
      test.now += 6 * day
      try test.settle(draw(test.alice))
      try await test.attempt(.retry(at: test.now), status: 500)
      #expect(try await test.accounts.webhooks(of: nil).map(\.isEnabled) == [true])
      try await test.attempt(.retry(at: test.now), status: 500)
      #expect(try await test.accounts.webhooks(of: nil).map(\.isEnabled) == [false])
    },

    StoreCheck("a request for a webhook under an idempotency key makes one, and gets it again") { test in
      let url = try #require(WebhookURL("https://one.example/"))
      let account = test.alice.account
      func create(_ key: String, _ fingerprint: [UInt8] = [7]) async throws -> CreatedWebhook {
        let claim = NewWebhook.Claim(test.alice.claim(key, fingerprint: fingerprint), retention: .week) {
          Array("{\"id\":\($0.id.rawValue)}".utf8)
        }
        return try await test.accounts.createWebhook(
          NewWebhook(url: url, secret: try WebhookSecret(), isOnlyOfURL: true, claim: claim), of: account)
      }
      let made = try await create("hook")
      #expect(!made.isReplay)
      try await test.reopen()
      let again = try await create("hook")
      #expect(again.isReplay && again.webhook == made.webhook && again.secret == made.secret)
      #expect(try await test.accounts.webhooks(of: account) == [made.webhook])
      let record = try await test.store.idempotencyRecord(test.alice.claim("hook").scope)
      #expect(record?.reply.body == Array("{\"id\":\(made.webhook.id.rawValue)}".utf8))

      // One key is for one request, whatever it asks for.
      let conflict = AdministrationError.idempotencyConflict
      await #expect(throws: conflict) { try await create("hook", [8]) }
      #expect(try test.settle(draw(test.alice, claim: "hook")).reply.status == 409)
      try test.settle(draw(test.alice, claim: "drawn"))
      await #expect(throws: conflict) { try await create("drawn") }
      // What was refused has not used its key.
      await #expect(throws: AdministrationError.webhookExists) { try await create("other") }
      #expect(try await test.store.idempotencyRecord(test.alice.claim("other").scope) == nil)

      let secret = try WebhookSecret()
      try await test.accounts.setWebhookSecret(made.webhook.id, to: secret, of: account)
      #expect(try await create("hook").secret == secret)
      try await test.accounts.deleteWebhook(made.webhook.id, of: account)
      await #expect(throws: AdministrationError.unknownWebhook(made.webhook.id)) { try await create("hook") }
      test.now += 7 * day
      let anew = try await create("hook")
      #expect(!anew.isReplay && anew.webhook.id != made.webhook.id)
    },

    StoreCheck("of simultaneous requests for a webhook for one URL one makes it") { test in
      let account = test.alice.account
      for (path, claim) in [("a", nil), ("b", test.alice.claim("hook", fingerprint: [7]))] {
        let url = try #require(WebhookURL("https://one.example/\(path)"))
        let claim = claim.map { claim in
          NewWebhook.Claim(claim, retention: .week) { Array("{\"id\":\($0.id.rawValue)}".utf8) }
        }
        let accounts = test.accounts
        let made = try await withThrowingTaskGroup(of: WebhookEndpointID?.self) { group in
          for _ in 0..<8 {
            group.addTask {
              let new = NewWebhook(url: url, secret: try WebhookSecret(), isOnlyOfURL: true, claim: claim)
              do {
                return try await accounts.createWebhook(new, of: account).webhook.id
              } catch AdministrationError.webhookExists {
                return nil
              }
            }
          }
          return try await group.reduce(into: []) { $0.append($1) }
        }
        let webhooks = try await test.accounts.webhooks(of: account).filter { $0.url == url.description }
        #expect(webhooks.count == 1)
        #expect(made.compactMap { $0 } == (0..<(claim == nil ? 1 : 8)).map { _ in webhooks[0].id })
      }
    },
  ]
}
