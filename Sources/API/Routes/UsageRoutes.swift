import Accounts
import Fairness
import Hummingbird
import JSON
import Ledger

/// What an account has drawn, and what is left of today's quota.
public struct UsageRoutes: Routes {
  private let accounts: any AccountStore
  /// The quota of an account that has none of its own.
  private let defaultDailyQuota: Int

  private static let names = ParameterNames(of: "/api/usage", "days")
  private static let mostDays: Int64 = 90

  public init(accounts: any AccountStore, defaultDailyQuota: Int) {
    self.accounts = accounts
    self.defaultDailyQuota = defaultDailyQuota
  }

  public var routes: [Route] { [Route("/api/usage", .get, needs: .read, handler: usage)] }

  @Sendable private func usage(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let parameters = try await Incoming(request, context).parameters(Self.names)
    let count = try parameters.integer("days", default: 30, in: 1...Self.mostDays)
    guard case .key(let keyID, let id, _) = context.caller else {
      throw Refusal(401, "This address needs an API key: it tells an account's usage.", code: .invalidAPIKey)
    }
    let now = LedgerWriter.wallClock()
    let today = Day(of: now)
    let account: Account
    let usage: [DailyUsage]
    let key: KeyReport?
    do {
      guard let found = try await accounts.account(id) else { throw Refusal.invalidAPIKey }
      account = found
      usage = try await accounts.usage(of: id, days: Day(number: today.number - count + 1)...today)
      key = try await accounts.keys(of: id).first { $0.key.id == keyID }
    } catch let failure as StoreFailure {
      throw context.refusal(for: failure)
    }
    var limits = [
      Limit(
        policy: .daily(quota: account.dailyQuota ?? defaultDailyQuota),
        used: usage.lazy.filter { $0.day == today }.reduce(0) { $0 + $1.count })
    ]
    if let key, let quota = key.key.dailyQuota { limits.append(Limit(policy: .key(quota: quota), used: key.usedToday)) }
    var response = Response.json(Self.body(usage, today, limits))
    let reset = Day.secondsLeft(at: now)
    response.headers[.rateLimitPolicy] = limits.map(\.policy.description).joined(separator: ", ")
    response.headers[.rateLimit] = limits.map { $0.policy.state(remaining: $0.remaining, reset: reset) }
      .joined(separator: ", ")
    return response
  }

  /// A quota, and what is used of it today.
  private struct Limit {
    let policy: RateLimitPolicy
    let used: Int
    var remaining: Int { max(0, policy.quota - used) }

    func append(to body: inout [UInt8]) {
      body.append(json: "\"quota\":")
      body.append(integer: policy.quota)
      body.append(json: ",\"used\":")
      body.append(integer: used)
      body.append(json: ",\"remaining\":")
      body.append(integer: remaining)
    }
  }

  /// - Parameter limits: the account's and, if it has one, the key's own.
  private static func body(_ usage: [DailyUsage], _ today: Day, _ limits: [Limit]) -> [UInt8] {
    var body: [UInt8] = []
    body.append(json: "{\"date\":")
    body.append(jsonString: today.description)
    body.append(json: ",")
    limits[0].append(to: &body)
    if limits.count > 1 {
      body.append(json: ",\"key\":{")
      limits[1].append(to: &body)
      body.append(json: "}")
    }
    body.append(json: ",\"resetsAt\":")
    body.append(jsonString: today.end.iso8601)
    body.append(json: ",\"days\":[")
    // The days come one after another, latest first.
    for (index, day) in usage.chunked(by: \.day).enumerated() {
      if index > 0 { body.append(json: ",") }
      body.append(json: "{\"date\":")
      body.append(jsonString: day[0].day.description)
      body.append(json: ",\"total\":")
      body.append(integer: day.reduce(0) { $0 + $1.count })
      body.append(json: ",\"endpoints\":{")
      for (index, entry) in day.enumerated() {
        if index > 0 { body.append(json: ",") }
        body.append(jsonString: entry.endpoint.name)
        body.append(json: ":")
        body.append(integer: entry.count)
      }
      body.append(json: "}}")
    }
    body.append(json: "]}")
    return body
  }
}

extension Array {
  /// The elements in runs that have the same `key`.
  fileprivate func chunked(by key: (Element) -> some Equatable) -> [[Element]] {
    var chunks: [[Element]] = []
    for element in self {
      if let last = chunks.last?.last, key(last) == key(element) {
        chunks[chunks.count - 1].append(element)
      } else {
        chunks.append([element])
      }
    }
    return chunks
  }
}
