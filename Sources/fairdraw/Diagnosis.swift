/// What `fairdraw doctor` finds: a line for each check, printed as it is made, and the worst of them.
struct Diagnosis {
  enum Verdict: String {
    case ok, warning, wrong
  }

  private var worst = Verdict.ok

  /// Nil if all is ok.
  var exitCode: Int32? {
    switch worst {
    case .ok: nil
    case .warning: 2
    case .wrong: 1
    }
  }

  /// - Parameters:
  ///   - subject: what was checked, in a word or two.
  ///   - finding: what was found and, unless it is ok, what to do.
  mutating func add(_ verdict: Verdict, _ subject: String, _ finding: String) throws {
    if verdict == .wrong || worst == .ok { worst = verdict }
    func column(_ text: String, _ width: Int) -> String {
      text + String(repeating: " ", count: max(1, width - text.count))
    }
    try StandardOutput.print(column(verdict.rawValue, 9) + column(subject, 13) + Terminal.printable(finding))
  }
}
