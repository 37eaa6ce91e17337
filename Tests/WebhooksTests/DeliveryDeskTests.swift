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
      return limits
    }())

  private func deliveries(_ endpoint: Int64, _ ids: ClosedRange<Int64>) -> [ClaimedDelivery] {
    let target = WebhookTarget(
      endpoint: WebhookEndpointID(endpoint), url: WebhookURL("https://example.com")!, secrets: [WebhookSecret()])
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

  @Test func lanesAreBoundedForEachEndpointAndInAll() {
    for endpoint in 1...4 {
      desk.add(deliveries(Int64(endpoint), Int64(endpoint * 100)...Int64(endpoint * 100 + 3)), at: .now)
    }
    let opened = desk.openLanes()
    #expect(opened.count == 6)
    for endpoint in 1...4 { #expect(opened.count { $0 == WebhookEndpointID(Int64(endpoint)) } <= 3) }
    #expect(desk.openLanes().isEmpty)
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
