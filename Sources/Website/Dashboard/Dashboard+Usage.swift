import Fairness
import Hummingbird
import Ledger

extension Dashboard {
  /// How many days the chart has, today included.
  private static let daysShown: Int64 = 60

  @Sendable func usage(_ incoming: DashboardRequest) async throws -> Response {
    let today = Day(of: incoming.now)
    let days = Day(number: today.number - Self.daysShown + 1)...today
    let (used, hours) = try await incoming.asking {
      (
        try await accounts.usage(of: incoming.account.id, days: days),
        try await accounts.hourlyUsage(of: incoming.account.id, on: today)
      )
    }
    let chart = UsageChart(used, days: days)
    let total = chart.total
    let byEndpoint = incoming.query["by"] == "generator"
    let endpoints = byEndpoint ? chart.endpoints : []
    return page(
      incoming, "usage", "Usage", section: "/dashboard/usage",
      values: [
        "quota": quota(incoming, used: used.filter { $0.day == today }.reduce(0) { $0 + $1.count }),
        "hours": hours.enumerated().filter { $0.element > 0 }.map { hour, count in
          ["hour": Self.clock(hour), "count": grouped(count)]
        },
        "hourChart": Self.chart(hours), "drewToday": hours.contains { $0 > 0 },
        "days": Self.daysShown, "total": grouped(total), "isEmpty": total == 0, "isOne": total == 1,
        "views": [("All", "", !byEndpoint), ("By generator", "?by=generator", byEndpoint)].map {
          ["name": $0, "address": "/dashboard/usage\($1)", "current": $2] as [String: Any]
        },
        "chart": chart.svg(byEndpoint: byEndpoint),
        "legend": endpoints.map {
          ["name": $0.name, "swatch": UsageChart.swatch($0), "total": grouped(chart.total(of: $0))] as [String: Any]
        },
        "rows": chart.days.reversed().filter { $0.total > 0 }.map { day in
          [
            "day": day.day.description, "total": grouped(day.total),
            "counts": endpoints.map { ["count": day.counts[$0].map(grouped) ?? "0"] },
          ] as [String: Any]
        },
        "totals": endpoints.map { ["count": grouped(chart.total(of: $0))] },
      ])
  }
  private static func clock(_ hour: Int) -> String { (hour < 10 ? "0" : "") + "\(hour):00" }

  /// Today's draws by the hour.
  private static func chart(_ hours: [Int]) -> String {
    let bars = hours.enumerated().map { hour, count in
      BarChart.Bar(title: "From \(clock(hour)) UTC: \(count)", mark: clock(hour), parts: [(nil, count)])
    }
    let label =
      "Draws in each hour of today, UTC: \(hours.reduce(0, +)) in all, at most \(hours.max() ?? 0) in one hour. The table below has every number."
    return BarChart(bars: bars, label: label).svg
  }
}
