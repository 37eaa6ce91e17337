import API
import Fairness
import Ledger

/// What pages show of the continuous log. It is read at most once a second, however many look.
final class LogOverview: Sendable {
  struct Content: Sendable {
    /// The newest; nil before there is one.
    let checkpoint: LogCheckpoint?
    /// Of those that were cosigned, the one that most witnesses have signed.
    let cosigned: LogCheckpoint?
    let growth: [LogMinute]
  }

  let parts: LogParts
  private let reading: SharedReading<Content>

  init(_ parts: LogParts) {
    self.parts = parts
    reading = SharedReading(every: .seconds(1)) { () throws(StoreFailure) in
      Content(
        checkpoint: try await parts.store.checkpoint(of: parts.era),
        cosigned: try await parts.store.cosignedCheckpoint(of: parts.era),
        growth: try await parts.store.growth(of: parts.era))
    }
  }

  func content() async throws(StoreFailure) -> Content { try await reading.content() }
}

extension LogCheckpoint {
  /// The names of the witnesses that cosigned it.
  var witnesses: [String] {
    get throws {
      let note = try SignedNote(text)
      let log = try Checkpoint(text: note.text).origin
      return note.signatures.map(\.name).filter { $0 != log }
    }
  }
}

/// What the log has of an outcome, as its page says it.
package enum LoggedOutcome: Equatable {
  case logged(index: Int, after: Milliseconds?, witnesses: Int)
  /// The outcome was drawn a moment ago.
  case notYet
  /// The log ought to have it, and does not.
  case missing

  package init(_ place: LogPlace, drawn: Milliseconds, now: Milliseconds) throws {
    switch place {
    case .proven(let index, let logged, _, let checkpoint):
      self = .logged(
        index: index, after: logged.map { max(0, $0 - drawn) }, witnesses: try checkpoint.witnesses.count)
    case .missing: self = now - drawn < LogPlace.longestDelay ? .notYet : .missing
    }
  }

  var isLogged: Bool { if case .logged = self { true } else { false } }

  package var sentence: String {
    switch self {
    case .logged(let index, let delay, let witnesses):
      var text = "In the log at index \(index)"
      if let delay {
        text += delay < 1000 ? ", less than a second after it was drawn" : ", \(delay / 1000) s after it was drawn"
      }
      if witnesses > 0 { text += ", seen by \(witnesses) witness\(witnesses == 1 ? "" : "es")" }
      return text + "."
    case .notYet: return "Not in the log yet. It takes a second or two."
    case .missing:
      return "The log has no entry for this outcome as it is recorded. It was changed or damaged, or the log was."
    }
  }
}
