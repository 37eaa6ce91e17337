import ArgumentParser
import Foundation

/// A setting's value: the option if it was given, else the environment, else the settings file, else nil.
enum Settings {
  /// Where a value comes from.
  enum Source: Equatable {
    case option, environment
    case file(String)
  }

  /// The environment variable that stands for an option: `daily-quota` is `FAIRDRAW_DAILY_QUOTA`.
  static func variable(_ option: String) -> String {
    "FAIRDRAW_" + option.uppercased().replacing("-", with: "_")
  }

  static func text(_ option: String, _ given: String?) -> String? { found(option, given)?.text }

  /// A variable or a setting that is set to nothing is as good as unset, as in most programs.
  static func found(_ option: String, _ given: String?) -> (text: String, source: Source)? {
    if let given { return (given, .option) }
    if let text = ProcessInfo.processInfo.environment[variable(option)], !text.isEmpty { return (text, .environment) }
    // A file that cannot be used has stopped the command before it began.
    guard case .success(let file?) = SettingsFile.loaded, let text = file.values[option], !text.isEmpty else {
      return nil
    }
    return (text, .file(file.path))
  }

  /// - Throws: a usage error that names the variable if the environment has something else than a yes or a no.
  static func flag(_ option: String, _ given: Bool) throws -> Bool {
    if given { return true }
    switch text(option, nil)?.lowercased() {
    case nil, "0", "false", "no": return false
    case "1", "true", "yes": return true
    case let text?: throw ValidationError("\(variable(option)) must be true or false, not \"\(text)\".")
    }
  }

  /// - Throws: a usage error that names the variable if the environment has something else than a number in range.
  static func integer(_ option: String, _ given: Int?, in range: ClosedRange<Int>) throws -> Int? {
    if let given {
      guard range.contains(given) else {
        throw ValidationError("--\(option) must be from \(range.lowerBound) to \(range.upperBound).")
      }
      return given
    }
    guard let text = text(option, nil) else { return nil }
    guard let value = Int(text), range.contains(value) else {
      throw ValidationError(
        "\(variable(option)) must be a whole number from \(range.lowerBound) to \(range.upperBound), not \"\(text)\".")
    }
    return value
  }
}
