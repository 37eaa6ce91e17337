import JSON

/// What `fairdraw doctor` finds: a line for each check, printed as it is made, and the worst of them.
struct Diagnosis {
  enum Verdict: String {
    case ok, warning, wrong
  }

  private var worst = Verdict.ok
  private let isJSON: Bool

  /// - Parameter isJSON: whether each line is a JSON object.
  init(isJSON: Bool = false) { self.isJSON = isJSON }

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
    guard !isJSON else {
      var line: [UInt8] = []
      for (name, text) in [("{\"verdict\":", verdict.rawValue), (",\"subject\":", subject), (",\"finding\":", finding)]
      {
        line.append(text: name)
        line.append(jsonString: text)
      }
      line.append(json: "}\n")
      return try StandardOutput.write(line)
    }
    func column(_ text: String, _ width: Int) -> String {
      text + String(repeating: " ", count: max(1, width - text.count))
    }
    let colour = verdict == .ok ? 32 : verdict == .warning ? 33 : 31
    let word = column(verdict.rawValue, 9)
    let shown = Terminal.hasColours ? "\u{1B}[\(colour)m\(word)\u{1B}[0m" : word
    try StandardOutput.print(shown + column(subject, 13) + Terminal.printable(finding))
  }
}
