import ArgumentParser
import Foundation

/// The file with the settings of an installed server, which every command reads: lines of `option = value`.
struct SettingsFile: Sendable {
  /// The variable that names another file.
  static let variable = "FAIRDRAW_CONFIG"
  static let standardPath = "/etc/fairdraw/fairdraw.conf"

  /// The file in use, if there is one. Only who may read the package's file has its settings.
  static let loaded = Result<SettingsFile?, CommandFailure> { () throws(CommandFailure) -> SettingsFile? in
    if let named = ProcessInfo.processInfo.environment[variable], !named.isEmpty { return try SettingsFile(named) }
    return access(standardPath, R_OK) == 0 ? try SettingsFile(standardPath) : nil
  }

  let path: String
  let values: [String: String]

  private init(_ path: String) throws(CommandFailure) {
    self.init(path: path, values: try Self.values(in: String(decoding: InputFile.read(path), as: UTF8.self), of: path))
  }

  private init(path: String, values: [String: String]) {
    self.path = path
    self.values = values
  }

  private static func values(in text: String, of path: String) throws(CommandFailure) -> [String: String] {
    var values: [String: String] = [:]
    var known: Set<String>?
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let line = line.trimmingCharacters(in: .whitespaces)
      guard !line.isEmpty, !line.hasPrefix("#") else { continue }
      let place = "\(path), line \(index + 1)"
      guard let equals = line.firstIndex(of: "=") else {
        throw CommandFailure("\(place): a setting must be written as \"option = value\"")
      }
      let name = line[..<equals].trimmingCharacters(in: .whitespaces)
      let names = known ?? Set(SettingDescription.all.map(\.name))
      known = names
      guard names.contains(name) else {
        throw CommandFailure("\(place): there is no setting \"\(Terminal.printable(name))\"")
      }
      guard values[name] == nil else { throw CommandFailure("\(place): \"\(name)\" is set twice") }
      values[name] = line[line.index(after: equals)...].trimmingCharacters(in: .whitespaces)
    }
    return values
  }
}
