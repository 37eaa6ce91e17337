import ArgumentParser
import Foundation

/// An option of `fairdraw serve`, as its help describes it.
struct SettingDescription: Decodable {
  /// All options, in the order of the help.
  static let all: [SettingDescription] = {
    let help = try? JSONDecoder().decode(Help.self, from: Data(Serve._dumpHelp().utf8))
    return (help?.command.arguments ?? []).filter { !["help", "version"].contains($0.name) }
  }()

  let name: String
  /// What is used if nothing is set, in the help's words.
  let standard: String

  private enum Member: CodingKey {
    case valueName, abstract, discussion, preferredName, kind
  }

  init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: Member.self)
    name = try members.decode(Name.self, forKey: .preferredName).name
    let abstract = try members.decodeIfPresent(String.self, forKey: .abstract) ?? ""
    let discussion = try members.decodeIfPresent(String.self, forKey: .discussion) ?? ""
    if let words = abstract.firstMatch(of: /\(default: (.*)\)$/)?.1
      ?? discussion.firstMatch(of: /Default: ([^;.]*(?:\.[a-z][^;.]*)*)/)?.1
    {
      standard = String(words)
    } else {
      standard = try members.decode(String.self, forKey: .kind) == "flag" ? "false" : "none"
    }
  }

  private struct Name: Decodable {
    let name: String
  }

  private struct Help: Decodable {
    struct Command: Decodable {
      let arguments: [SettingDescription]
    }
    let command: Command
  }
}
