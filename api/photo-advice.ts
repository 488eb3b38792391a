/**
 * The build of libheif that sharp brings decodes AV1 and, for its patents, not HEVC: what iPhones write by default
 * cannot be read here, and the resident hears what to do about it.
 */
export const HEIC_ADVICE =
  'is a HEIC photo, which cannot be read here: send it as JPEG (on an iPhone: Settings, Camera, Formats, Most Compatible)';
