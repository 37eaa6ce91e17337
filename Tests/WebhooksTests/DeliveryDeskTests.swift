import Ledger
import Testing
import Webhooks

@Suite struct DeliveryDeskTests {
  private let desk = DeliveryDesk(
    limits: {
      var limits = DeliveryDesk.Limits()
      limits.lanes = 6
      limits.lanesPerEndpoint = 3
      limits.inHand = 20
      limits.inHandPerEndpoint = 8
      limits.inHandOnTrial = 2
      limits.lanesPerAccount = 4
      limits.lanesOnTrial = 3
      return limits
    }())

  private func deliveries(_ endpoint: Int64, _ ids: ClosedRange<Int64>, account: Int64 = 1) -> [ClaimedDelivery] {
    let target = WebhookTarget(
      endpoint: WebhookEndpointID(endpoint), account: AccountID(account), url: WebhookURL("https://example.com")!,
      secrets: [WebhookSecret()])
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

  /// Lets an endpoint answer once, so that it has all of its lanes.
  private func answer(_ endpoint: Int64, account: Int64 = 1) throws {
    desk.add(deliveries(endpoint, 10_000...10_000, account: account), at: .now)
    let lane = try #require(desk.openLanes().first)
    let delivery = try #require(desk.next(lane))
    desk.finish(result(delivery, failedAfter: nil), of: delivery)
    #expect(desk.next(lane) == nil)
    #expect(desk.takeResults().count == 1)
  }

  private func count(_ lanes: [WebhookEndpointID], _ endpoint: Int64) -> Int {
    lanes.count { $0 == WebhookEndpointID(endpoint) }
  }

  @Test func lanesAreBoundedForEachEndpointAndAccountAndInAll() throws {
    for endpoint in 1...4 { try answer(Int64(endpoint), account: Int64(endpoint) / 3) }
    for endpoint in 1...2 { desk.add(deliveries(Int64(endpoint), 1...8, account: 0), at: .now) }
    let first = desk.openLanes()
    #expect(first.count == 4)
    for endpoint in 1...2 { #expect(count(first, Int64(endpoint)) == 2) }
    for endpoint in 3...4 { desk.add(deliveries(Int64(endpoint), 1...8, account: 1), at: .now) }
    #expect(desk.openLanes().count == 2)
    #expect(desk.openLanes().isEmpty)
  }

  @Test func anEndpointBeginsWithOneLaneAndAFewInHand() throws {
    #expect(desk.claim()?.perEndpoint == 2)
    desk.add(deliveries(1, 1...2), at: .now)
    #expect(desk.openLanes() == [WebhookEndpointID(1)])
    let delivery = try #require(desk.next(WebhookEndpointID(1)))
    desk.finish(result(delivery, failedAfter: nil), of: delivery)
    #expect(desk.claim()?.allowances[WebhookEndpointID(1)] == 6)
    desk.add(deliveries(1, 3...6), at: .now)
    #expect(desk.openLanes().count == 2)
  }

  /// The lanes that answering endpoints need are not to be had by those that hang or were never heard of.
  @Test func endpointsOnTrialHaveHalfOfTheLanes() throws {
    try answer(9, account: 9)
    for endpoint in 1...6 { desk.add(deliveries(Int64(endpoint), 1...2, account: Int64(endpoint)), at: .now) }
    let trying = desk.openLanes()
    #expect(trying.count == 3 && Set(trying).count == 3)
    desk.add(deliveries(9, 1...8, account: 9), at: .now)
    #expect(count(desk.openLanes(), 9) == 3)
  }

  /// A lane that becomes free goes to the account that has none.
  @Test func aFreeLaneGoesToWhoHasTheFewest() throws {
    for endpoint in 1...3 { try answer(Int64(endpoint), account: Int64(min(endpoint, 2))) }
    for endpoint in 1...3 { desk.add(deliveries(Int64(endpoint), 1...8, account: Int64(min(endpoint, 2))), at: .now) }
    let lanes = desk.openLanes()
    #expect(lanes.count == 6 && count(lanes, 1) == 3)
    try #require(!desk.isIdle)
    for lane in lanes { _ = desk.next(lane) }
    desk.add(deliveries(7, 1...1, account: 3), at: .now)
    #expect(desk.openLanes().isEmpty)
    // One of the others ends.
    let ended = deliveries(1, 1...1)[0]
    desk.finish(result(ended, failedAfter: 10_000), of: ended)
    #expect(desk.next(WebhookEndpointID(1)) == nil)
    #expect(desk.openLanes() == [WebhookEndpointID(7)])
  }

  @Test func aLaneWorksThroughTheQueueAndCloses() throws {
    desk.add(deliveries(1, 1...2), at: .now)
    let lane = try #require(desk.openLanes().first)
    for id in 1...2 {
      let delivery = try #require(desk.next(lane))
      #expect(delivery.id == DeliveryID(Int64(id)))
      desk.finish(result(delivery, failedAfter: nil), of: delivery)
    }
    #expect(desk.next(lane) == nil)
    #expect(desk.next(lane) == nil)
    #expect(desk.isIdle)
    #expect(desk.takeResults().map(\.verdict) == [.delivered, .delivered])
    #expect(desk.takeResults().isEmpty)
    #expect(desk.claim()?.allowances == [:])
    #expect(desk.claim()?.limit == 20)
  }

  @Test func aReceiverThatHangsKeepsOneLaneAndGivesTheRestBack() throws {
    try answer(1)
    desk.add(deliveries(1, 1...8), at: .now)
    let lanes = desk.openLanes()
    #expect(lanes.count == 3)
    let underWay = lanes.compactMap { desk.next($0) }
    desk.finish(result(underWay[0], failedAfter: 10_000), of: underWay[0])
    #expect(desk.takeResults().map(\.verdict) == [.retry(at: 1)] + Array(repeating: .released, count: 5))
    #expect(desk.next(lanes[0]) == nil)
    #expect(desk.claim()?.allowances[WebhookEndpointID(1)] == 0)
    for delivery in underWay[1...] { desk.finish(result(delivery, failedAfter: 10_000), of: delivery) }
    #expect(desk.next(lanes[1]) == nil && desk.next(lanes[2]) == nil)
    #expect(desk.claim()?.allowances[WebhookEndpointID(1)] == 1)
    // One success, and it has its lanes back.
    desk.add(deliveries(1, 9...9), at: .now)
    #expect(desk.openLanes().count == 1)
    let probe = try #require(desk.next(lanes[0]))
    desk.finish(result(probe, failedAfter: nil), of: probe)
    #expect(desk.claim()?.allowances[WebhookEndpointID(1)] == 7)
  }

  @Test func quickFailuresKeepTheirLanes() throws {
    try answer(1)
    desk.add(deliveries(1, 1...8), at: .now)
    let lanes = desk.openLanes()
    let delivery = try #require(desk.next(lanes[0]))
    desk.finish(result(delivery, failedAfter: 3), of: delivery)
    #expect(desk.takeResults().count == 1)
    #expect(desk.next(lanes[0])?.id == DeliveryID(2))
  }

  @Test func aClaimThatIsAboutToEndIsGivenBack() {
    desk.add(deliveries(1, 1...2), at: .now - .seconds(18))
    let lanes = desk.openLanes()
    #expect(!lanes.isEmpty)
    for lane in lanes { #expect(desk.next(lane) == nil) }
    #expect(desk.takeResults().map(\.verdict) == [.released, .released])
  }

  @Test func closingGivesBackWhatIsQueuedAndStartsNothing() throws {
    desk.add(deliveries(1, 1...5), at: .now)
    let lanes = desk.openLanes()
    let delivery = try #require(desk.next(lanes[0]))
    desk.close()
    #expect(desk.claim() == nil)
    #expect(desk.openLanes().isEmpty)
    desk.finish(result(delivery, failedAfter: nil), of: delivery)
    for lane in lanes { #expect(desk.next(lane) == nil) }
    #expect(desk.isIdle)
    #expect(desk.takeResults().count == 5)
  }

  @Test func whatCouldNotBeRecordedComesFirstNextTime() throws {
    desk.add(deliveries(1, 1...2), at: .now)
    let lane = desk.openLanes()[0]
    for _ in 0..<2 {
      let delivery = try #require(desk.next(lane))
      desk.finish(result(delivery, failedAfter: nil), of: delivery)
      desk.putBack(desk.takeResults())
    }
    #expect(desk.takeResults().map(\.delivery.rawValue) == [1, 2])
  }
}
