// Merge this into the app's own metro.config.js: Metro packs the file types that it knows only.
const { getDefaultConfig } = require('expo/metro-config');

const config = getDefaultConfig(__dirname);
config.resolver.assetExts.push('ort', 'bin');

module.exports = config;
