import Fairness
import Foundation
import Ledger
import Testing
import Website

@Suite struct LogOverviewTests {
  private func checkpoint(_ witnesses: [String]) throws -> LogCheckpoint {
    let checkpoint = Checkpoint(origin: "draws.example/log/0", size: 9, root: .leaf([]))
    let names = ["draws.example/log/0"] + witnesses
    let signatures = names.map { NoteSignature(name: $0, keyID: 1, bytes: Array(repeating: 1, count: 64)) }
    return LogCheckpoint(
      era: 0, size: 9, text: SignedNote(text: checkpoint.text, signatures: signatures).description)
  }

  private func sentence(after delay: Milliseconds?, _ witnesses: [String]) throws -> String {
    let place = LogPlace.proven(
      index: 7, logged: delay.map { 1_000_000 + $0 }, path: [], checkpoint: try checkpoint(witnesses))
    return try LoggedOutcome(place, drawn: 1_000_000, now: 9_000_000).sentence
  }

  @Test func anOutcomesPlaceInTheLogIsASentence() throws {
    #expect(try sentence(after: nil, []) == "In the log at index 7.")
    #expect(try sentence(after: 999, []) == "In the log at index 7, less than a second after it was drawn.")
    #expect(try sentence(after: -5, []) == "In the log at index 7, less than a second after it was drawn.")
    #expect(try sentence(after: 1_000, ["a"]) == "In the log at index 7, 1 s after it was drawn, seen by 1 witness.")
    #expect(
      try sentence(after: 61_500, ["a", "b"]) == "In the log at index 7, 61 s after it was drawn, seen by 2 witnesses.")
    #expect(try LoggedOutcome(.missing, drawn: 1_000, now: 60_999) == .notYet)
    #expect(try LoggedOutcome(.missing, drawn: 1_000, now: 61_000) == .missing)
  }

  @Test func thePlotHasABarForEachMinuteWithEntries() {
    func bars(_ minutes: (Int64, Int)...) -> (count: Int, html: String) {
      let html = Plot(minutesUntil: 100, minutes.map { LogMinute(minute: $0, firstSize: 10, size: 10 + $1, last: 0) })
        .html
      return (html.components(separatedBy: "<rect").count - 1, html)
    }
    #expect(bars().count == 0 && bars().html.contains("0 in all, at most 0 in one minute"))
    let some = bars((40, 1_000), (41, 1), (99, 20), (100, 5))
    #expect(some.count == 3 && some.html.contains("26 in all, at most 20 in one minute"), "what is an hour old is gone")
    #expect(!some.html.contains("nan") && !some.html.contains("inf"))
  }
}
