import ArgumentParser
import Ledger

/// A daily quota on the command line: a number, or `none`.
struct DailyQuotaArgument: ExpressibleByArgument {
  let quota: Int?

  init?(argument: String) {
    if argument == "none" {
      quota = nil
    } else {
      guard let number = Int(argument), Account.dailyQuotas.contains(number) else { return nil }
      quota = number
    }
  }
}
