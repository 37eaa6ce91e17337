/// What an account may be called.
public enum AccountName {
  /// In characters.
  public static let lengths = 1...100

  /// Whether `text` may be an account's name: one line of 1 to 100 characters, without control characters.
  public static func isValid(_ text: String) -> Bool { text.isOneLine(lengths) }
}

/// What an account may call a key.
public enum KeyName {
  /// In characters.
  public static let lengths = 0...100

  /// Whether `text` may be a key's name: empty, or as ``AccountName``.
  public static func isValid(_ text: String) -> Bool { text.isOneLine(lengths) }
}

extension String {
  /// A character may be any number of code points, so there is a bound in bytes too.
  fileprivate func isOneLine(_ lengths: ClosedRange<Int>) -> Bool {
    utf8.count <= 1024 && lengths.contains(count)
      && unicodeScalars.allSatisfy {
        switch $0.properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: false
        default: true
        }
      }
  }
}
