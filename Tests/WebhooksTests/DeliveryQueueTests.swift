import Ledger
import Testing
import Webhooks

@Suite struct DeliveryQueueTests {
  private let queue = DeliveryQueue(
    limits: {
      var limits = DeliveryQueue.Limits()
      limits.attempts = 6
      limits.attemptsPerEndpoint = 3
      limits.inHand = 20
      limits.inHandPerEndpoint = 8
      limits.inHandOnTrial = 2
      limits.attemptsPerAccount = 4
      limits.attemptsOnTrial = 3
      return limits
    }())

  private func deliveries(_ endpoint: Int64, _ ids: ClosedRange<Int64>, account: Int64 = 1) -> [ClaimedDelivery] {
    let target = WebhookTarget(
      endpoint: WebhookEndpointID(endpoint), account: AccountID(account), url: WebhookURL("https://example.com")!,
      secrets: [WebhookSecret(bytes: [7])])
    return ids.map {
      ClaimedDelivery(id: DeliveryID($0), target: target, event: .test, created: 0, since: 0, attempts: 0, claim: $0)
    }
  }

  private func result(_ delivery: ClaimedDelivery, failedAfter latency: Milliseconds?) -> DeliveryResult {
    DeliveryResult(
      of: delivery, latency == nil ? .delivered : .retry(at: 1),
      attempt: DeliveryAttempt(
        at: 0, status: nil, latency: latency ?? 1, error: latency == nil ? nil : "no", answer: []))
  }

  /// Lets an endpoint answer once, so that it may have all of its attempts.
  private func answer(_ endpoint: Int64, account: Int64 = 1) throws {
    queue.add(deliveries(endpoint, 10_000...10_000, account: account), at: .now)
    let endpoint = try #require(queue.beginAttempts().first)
    let delivery = try #require(queue.next(endpoint))
    queue.finish(result(delivery, failedAfter: nil), of: delivery)
    #expect(queue.next(endpoint) == nil)
    #expect(queue.takeResults().count == 1)
  }

  private func count(_ endpoints: [WebhookEndpointID], _ endpoint: Int64) -> Int {
    endpoints.count { $0 == WebhookEndpointID(endpoint) }
  }

  @Test func attemptsAreBoundedForEachEndpointAndAccountAndInAll() throws {
    for endpoint in 1...4 { try answer(Int64(endpoint), account: Int64(endpoint) / 3) }
    for endpoint in 1...2 { queue.add(deliveries(Int64(endpoint), 1...8, account: 0), at: .now) }
    let first = queue.beginAttempts()
    #expect(first.count == 4)
    for endpoint in 1...2 { #expect(count(first, Int64(endpoint)) == 2) }
    for endpoint in 3...4 { queue.add(deliveries(Int64(endpoint), 1...8, account: 1), at: .now) }
    #expect(queue.beginAttempts().count == 2)
    #expect(queue.beginAttempts().isEmpty)
  }

  @Test func anEndpointBeginsWithOneLaneAndAFewInHand() throws {
    #expect(queue.claim()?.perEndpoint == 2)
    queue.add(deliveries(1, 1...2), at: .now)
    #expect(queue.beginAttempts() == [WebhookEndpointID(1)])
    let delivery = try #require(queue.next(WebhookEndpointID(1)))
    queue.finish(result(delivery, failedAfter: nil), of: delivery)
    #expect(queue.claim()?.allowances[WebhookEndpointID(1)] == 6)
    queue.add(deliveries(1, 3...6), at: .now)
    #expect(queue.beginAttempts().count == 2)
  }

  /// The attempts that answering endpoints need are not to be had by those that hang or were never heard of.
  @Test func endpointsOnTrialHaveHalfOfTheLanes() throws {
    try answer(9, account: 9)
    for endpoint in 1...6 { queue.add(deliveries(Int64(endpoint), 1...2, account: Int64(endpoint)), at: .now) }
    let trying = queue.beginAttempts()
    #expect(trying.count == 3 && Set(trying).count == 3)
    queue.add(deliveries(9, 1...8, account: 9), at: .now)
    #expect(count(queue.beginAttempts(), 9) == 3)
  }

  /// Where an attempt ends, the account that has none is next.
  @Test func aFreeLaneGoesToWhoHasTheFewest() throws {
    for endpoint in 1...3 { try answer(Int64(endpoint), account: Int64(min(endpoint, 2))) }
    for endpoint in 1...3 { queue.add(deliveries(Int64(endpoint), 1...8, account: Int64(min(endpoint, 2))), at: .now) }
    let endpoints = queue.beginAttempts()
    #expect(endpoints.count == 6 && count(endpoints, 1) == 3)
    try #require(!queue.isIdle)
    for endpoint in endpoints { _ = queue.next(endpoint) }
    queue.add(deliveries(7, 1...1, account: 3), at: .now)
    #expect(queue.beginAttempts().isEmpty)
    // One of the others ends.
    let ended = deliveries(1, 1...1)[0]
    queue.finish(result(ended, failedAfter: 10_000), of: ended)
    #expect(queue.next(WebhookEndpointID(1)) == nil)
    #expect(queue.beginAttempts() == [WebhookEndpointID(7)])
  }

  @Test func aLaneWorksThroughTheQueueAndCloses() throws {
    queue.add(deliveries(1, 1...2), at: .now)
    let endpoint = try #require(queue.beginAttempts().first)
    for id in 1...2 {
      let delivery = try #require(queue.next(endpoint))
      #expect(delivery.id == DeliveryID(Int64(id)))
      queue.finish(result(delivery, failedAfter: nil), of: delivery)
    }
    #expect(queue.next(endpoint) == nil)
    #expect(queue.next(endpoint) == nil)
    #expect(queue.isIdle)
    #expect(queue.takeResults().map(\.verdict) == [.delivered, .delivered])
    #expect(queue.takeResults().isEmpty)
    #expect(queue.claim()?.allowances == [:])
    #expect(queue.claim()?.limit == 20)
  }

  @Test func aReceiverThatHangsKeepsOneLaneAndGivesTheRestBack() throws {
    try answer(1)
    queue.add(deliveries(1, 1...8), at: .now)
    let endpoints = queue.beginAttempts()
    #expect(endpoints.count == 3)
    let underWay = endpoints.compactMap { queue.next($0) }
    queue.finish(result(underWay[0], failedAfter: 10_000), of: underWay[0])
    #expect(queue.takeResults().map(\.verdict) == [.retry(at: 1)] + Array(repeating: .released, count: 5))
    #expect(queue.next(endpoints[0]) == nil)
    #expect(queue.claim()?.allowances[WebhookEndpointID(1)] == 0)
    for delivery in underWay[1...] { queue.finish(result(delivery, failedAfter: 10_000), of: delivery) }
    #expect(queue.next(endpoints[1]) == nil && queue.next(endpoints[2]) == nil)
    #expect(queue.claim()?.allowances[WebhookEndpointID(1)] == 1)
    // One success, and it has its attempts back.
    queue.add(deliveries(1, 9...9), at: .now)
    #expect(queue.beginAttempts().count == 1)
    let probe = try #require(queue.next(endpoints[0]))
    queue.finish(result(probe, failedAfter: nil), of: probe)
    #expect(queue.claim()?.allowances[WebhookEndpointID(1)] == 7)
  }

  @Test func quickFailuresKeepTheirLanes() throws {
    try answer(1)
    queue.add(deliveries(1, 1...8), at: .now)
    let endpoints = queue.beginAttempts()
    let delivery = try #require(queue.next(endpoints[0]))
    queue.finish(result(delivery, failedAfter: 3), of: delivery)
    #expect(queue.takeResults().count == 1)
    #expect(queue.next(endpoints[0])?.id == DeliveryID(2))
  }

  @Test func aClaimThatIsAboutToEndIsGivenBack() {
    queue.add(deliveries(1, 1...2), at: .now - queue.limits.lease + queue.limits.margin)
    let endpoints = queue.beginAttempts()
    #expect(!endpoints.isEmpty)
    for endpoint in endpoints { #expect(queue.next(endpoint) == nil) }
    #expect(queue.takeResults().map(\.verdict) == [.released, .released])
  }

  @Test func closingGivesBackWhatIsQueuedAndStartsNothing() throws {
    queue.add(deliveries(1, 1...5), at: .now)
    let endpoints = queue.beginAttempts()
    let delivery = try #require(queue.next(endpoints[0]))
    queue.close()
    #expect(queue.claim() == nil)
    #expect(queue.beginAttempts().isEmpty)
    queue.finish(result(delivery, failedAfter: nil), of: delivery)
    for endpoint in endpoints { #expect(queue.next(endpoint) == nil) }
    #expect(queue.isIdle)
    #expect(queue.takeResults().count == 5)
  }

  @Test func whatCouldNotBeRecordedComesFirstNextTime() throws {
    queue.add(deliveries(1, 1...2), at: .now)
    let endpoint = queue.beginAttempts()[0]
    for _ in 0..<2 {
      let delivery = try #require(queue.next(endpoint))
      queue.finish(result(delivery, failedAfter: nil), of: delivery)
      queue.putBack(queue.takeResults())
    }
    #expect(queue.takeResults().map(\.delivery.rawValue) == [1, 2])
  }
}
