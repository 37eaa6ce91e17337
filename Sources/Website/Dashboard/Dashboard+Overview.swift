import Fairness
import Hummingbird
import Ledger

extension Dashboard {
  @Sendable func overview(_ incoming: DashboardRequest) async throws -> Response {
    let today = Day(of: incoming.now)
    let week = Day(number: today.number - 6)...today
    let (used, keys, hooks) = try await incoming.asking {
      (
        try await accounts.usage(of: incoming.account.id, days: week), try await accounts.keys(of: incoming.account.id),
        try await accounts.webhooks(of: incoming.account.id)
      )
    }
    let working = keys.filter { $0.key.revoked == nil }
    let enabled = hooks.count { $0.isEnabled }
    let weekly = used.reduce(0) { $0 + $1.count }
    var values: [String: Any] = [
      "quota": quota(incoming, used: used.filter { $0.day == today }.reduce(0) { $0 + $1.count }),
      "weekly": grouped(weekly), "weeklyIsOne": weekly == 1,
      "keys": [
        "count": working.count, "isOne": working.count == 1,
        "live": working.count { $0.key.mode == .live }, "test": working.count { $0.key.mode == .test },
      ] as [String: Any],
      "webhooks": ["count": enabled, "isOne": enabled == 1] as [String: Any],
      "publicURL": publicURL,
      "curl": curl(key: "YOUR_KEY"),
      "copyCurl": HTML.copyButton(curl(key: "YOUR_KEY"), label: "command"),
      "isNew": working.isEmpty || keys.allSatisfy { $0.activity.lastUsed == nil } && used.isEmpty,
      "hasKeys": !working.isEmpty,
    ]
    if let last = working.compactMap(\.activity.lastUsed).max() { values["lastUsed"] = moment(last) }
    let disabled = hooks.count - enabled
    if disabled > 0 { values["disabled"] = ["count": disabled, "isOne": disabled == 1] as [String: Any] }
    return page(incoming, "overview", "Overview", section: "/dashboard", values: values)
  }

  /// Today's outcomes against the quota, as a bar and in words.
  func quota(_ incoming: DashboardRequest, used: Int) -> [String: Any] {
    let quota = incoming.account.dailyQuota ?? parts.dailyQuota
    let share = quota > 0 ? min(Double(used) / Double(quota), 1) : 1
    let left = max(quota - used, 0)
    let seconds = Day.secondsLeft(at: incoming.now)
    return [
      "used": grouped(used), "quota": grouped(quota), "left": grouped(left), "isSpent": left == 0,
      "isNearlySpent": left > 0 && share >= 0.8, "width": Plot.round(share * 100),
      "percent": Int((share * 100).rounded(.down)), "renews": "\(seconds / 3600) h \(seconds % 3600 / 60) min",
    ]
  }

  /// A command that draws, as it can be pasted.
  func curl(key: String) -> String {
    "curl -H 'x-api-key: \(key)' '\(publicURL)/api/ints?clientSeed=hello&count=3&min=1&max=100'"
  }
}
