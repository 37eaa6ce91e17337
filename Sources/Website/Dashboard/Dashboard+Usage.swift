import Fairness
import Hummingbird
import Ledger

extension Dashboard {
  /// How many days the chart has, today included.
  private static let daysShown: Int64 = 60

  @Sendable func usage(_ incoming: DashboardRequest) async throws -> Response {
    let today = Day(of: incoming.now)
    let days = Day(number: today.number - Self.daysShown + 1)...today
    let used = try await incoming.asking { try await accounts.usage(of: incoming.account.id, days: days) }
    let chart = UsageChart(used, days: days)
    let total = chart.total
    return page(
      incoming, "usage", "Usage", section: "/dashboard/usage",
      values: [
        "quota": quota(incoming, used: used.filter { $0.day == today }.reduce(0) { $0 + $1.count }),
        "days": Self.daysShown, "total": grouped(total), "isEmpty": total == 0, "isOne": total == 1,
        "chart": chart.svg,
        "legend": chart.endpoints.map {
          ["name": $0.name, "swatch": UsageChart.swatch($0), "total": grouped(chart.total(of: $0))] as [String: Any]
        },
        "rows": chart.days.reversed().filter { $0.total > 0 }.map { day in
          [
            "day": day.day.description, "total": grouped(day.total),
            "counts": chart.endpoints.map { ["count": day.counts[$0].map(grouped) ?? "0"] },
          ] as [String: Any]
        },
        "totals": chart.endpoints.map { ["count": grouped(chart.total(of: $0))] },
      ])
  }
}
