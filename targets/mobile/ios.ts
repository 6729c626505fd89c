import { literalText } from '../../src/target/literal.ts';
import type { Artifact, BundleFile } from '../../src/target/target.ts';
import type { ImageTask } from '../browser/task-image.ts';
import { type GlueInput, isStretched, placementScale, placementSentence } from './android.ts';
import type { PlatformChoice } from './choice.ts';
import { goldenJson, replayable } from './golden-json.ts';
import { codeNames, floatLiteral, swiftString } from './names.ts';

/** Raw values of ORTTensorElementDataType (ort_enums.h) by element type; the Objective-C API has no others. */
const objcTypes = { float32: 1, int8: 2, uint8: 3, int32: 4, uint32: 5, int64: 6, uint64: 7 };

/** A Swift package: model as a resource, loader, pre- and post-processing, and golden tests. */
export function* iosFiles({ artifact, choice, bytes, image, cases }: GlueInput): Iterable<BundleFile> {
  const { swiftModule } = codeNames(artifact.name);
  const file = `${artifact.name}.ort`;
  const sources = `ios/Sources/${swiftModule}`;
  const adapted = (name: string): string =>
    literalText('mobile', `ios/${name}`).replaceAll('__MODULE__', swiftModule).replaceAll('__FILE__', file);
  const replays = replayable(artifact, objcTypes, cases);
  const tests = replays.length > 0;
  const manifest = adapted('Package.swift');
  yield {
    path: 'ios/Package.swift',
    bytes: tests ? manifest : manifest.replace(/ {8}\.testTarget\([\s\S]*?\n {8}\),\n/, ''),
  };
  yield { path: `${sources}/Resources/${file}`, bytes };
  yield { path: `${sources}/Model.swift`, bytes: adapted('Model.swift') };
  yield { path: `${sources}/ModelInfo.swift`, bytes: modelInfo(artifact, file, choice) };
  if (image) yield { path: `${sources}/Preprocess.swift`, bytes: preprocess(image) };
  if (artifact.labels) yield { path: `${sources}/Labels.swift`, bytes: labelsFile(artifact.labels) };
  if (tests) {
    yield { path: `ios/Tests/${swiftModule}Tests/GoldenTests.swift`, bytes: adapted('GoldenTests.swift') };
    yield* goldenJson(artifact, `ios/Tests/${swiftModule}Tests/Golden`, objcTypes, replays);
  }
}

function modelInfo(artifact: Artifact, file: string, choice: PlatformChoice): string {
  const config = Object.entries(choice.config).map(([key, value]) => `${swiftString(key)}: ${swiftString(value)}`);
  const names = (values: Artifact['inputs']): string => values.map(({ name }) => swiftString(name)).join(', ');
  const provider = choice.provider === 'coreml' ? '.coreML(computeUnits: .all)' : `.${choice.provider}`;
  return `/// What the loader must know of the model.
public enum ModelInfo {
    public static let file = ${swiftString(file)}
    public static let provider: Provider = ${provider}
    public static let coreMLFormat = ${swiftString(choice.coremlFormat)}
    public static let sessionConfig: [String: String] = [${config.length > 0 ? config.join(', ') : ':'}]
    public static let inputs: [String] = [${names(artifact.inputs)}]
    public static let outputs: [String] = [${names(artifact.outputs)}]
}
`;
}

function preprocess(image: ImageTask): string {
  const floats = (values: readonly number[]): string => values.map(floatLiteral).join(', ');
  const count = image.factor.length;
  const pick =
    image.channels === 'GRAY'
      ? '0.299 * Float(pixels[4 * at]) + 0.587 * Float(pixels[4 * at + 1]) + 0.114 * Float(pixels[4 * at + 2])'
      : image.channels === 'BGR'
        ? 'Float(pixels[4 * at + 2 - channel])'
        : 'Float(pixels[4 * at + channel])';
  const place = image.layout === 'NCHW' ? 'channel * height * width + at' : 'at * channels + channel';
  const shape = image.layout === 'NCHW' ? '[1, channels, height, width]' : '[1, height, width, channels]';
  return `import CoreGraphics
import Foundation

/// Turns a picture into the input of the model, as it was done for the data that the model was judged by.
public enum Preprocess {
    public static let input = ${swiftString(image.input)}
    public static let height = ${image.height}
    public static let width = ${image.width}
    public static let channels = ${count}
    private static let factor: [Float] = [${floats(image.factor)}]
    private static let offset: [Float] = [${floats(image.offset)}]

    /// ${placementSentence(image)}
    /// Nil where the system cannot draw it.
    public static func tensor(from picture: CGImage) -> RawTensor? {
        var pixels = [UInt8](repeating: 0, count: height * width * 4)
        let drawn = pixels.withUnsafeMutableBytes { buffer -> Bool in
            guard let context = CGContext(
                data: buffer.baseAddress,
                width: width,
                height: height,
                bitsPerComponent: 8,
                bytesPerRow: width * 4,
                space: CGColorSpaceCreateDeviceRGB(),
                bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue
            ) else {
                return false
            }
            context.interpolationQuality = .medium
            let grey: CGFloat = ${image.pad}.0 / 255.0
            context.setFillColor(red: grey, green: grey, blue: grey, alpha: 1)
            context.fill(CGRect(x: 0, y: 0, width: Preprocess.width, height: Preprocess.height))
            context.draw(picture, in: placement(width: CGFloat(picture.width), height: CGFloat(picture.height)))
            return true
        }
        guard drawn else {
            return nil
        }
        var values = [Float](repeating: 0, count: channels * height * width)
        for at in 0..<(height * width) {
            for channel in 0..<channels {
                let value = ${pick}
                values[${place}] = value * factor[channel] + offset[channel]
            }
        }
        return RawTensor(floats: values, shape: ${shape})
    }

    /// Where the whole picture lies in the frame, whose origin is at the lower left.
    private static func placement(width: CGFloat, height: CGFloat) -> CGRect {
${swiftPlacement(image)}
    }
}
`;
}

function swiftPlacement(image: ImageTask): string {
  if (isStretched(image)) return `        return CGRect(x: 0, y: 0, width: ${image.width}, height: ${image.height})`;
  const corner = image.crop === 'letterbox' && image.anchor === 'corner';
  return `        let scale: CGFloat = ${placementScale(image, ['min', 'max'])}
        let left: CGFloat = ${corner ? '0' : `(${image.width}.0 - width * scale) / 2`}
        let bottom: CGFloat = ${corner ? `${image.height}.0 - height * scale` : `(${image.height}.0 - height * scale) / 2`}
        return CGRect(x: left, y: bottom, width: width * scale, height: height * scale)`;
}

function labelsFile(labels: readonly string[]): string {
  return `import Foundation

/// A class of the model with its share.
public struct Ranked {
    public let label: String
    public let index: Int
    public let share: Float
}

/// The classes of the model, in the order of its output.
public enum Labels {
    public static let names: [String] = [
${labels.map((label) => `        ${swiftString(label)},`).join('\n')}
    ]

    /// The likeliest classes of one row of scores.
    public static func top(_ scores: [Float], count: Int = 5) -> [Ranked] {
        let shares = softmax(scores)
        let order = shares.indices.sorted { shares[$0] > shares[$1] }
        return order.prefix(count).map { index in
            let label = index < names.count ? names[index] : String(index)
            return Ranked(label: label, index: index, share: shares[index])
        }
    }

    /// Shares as they are where the model gave shares already, else the softmax of its scores.
    private static func softmax(_ scores: [Float]) -> [Float] {
        let sum = scores.reduce(0, +)
        if scores.allSatisfy({ $0 >= 0 && $0 <= 1 }) && abs(sum - 1) < 0.01 {
            return scores
        }
        let top = scores.max() ?? 0
        let powers = scores.map { exp($0 - top) }
        let total = powers.reduce(0, +)
        return powers.map { $0 / total }
    }
}
`;
}
