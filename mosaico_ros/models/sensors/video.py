"""Video: pictures out of packets that depend on one another."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import Self

from mosaico_ros.models.core.message import Message
from mosaico_ros.models.sensors import pixels
from mosaico_ros.models.sensors.image import CompressedImage, ImageFormat
from mosaico_ros.protocol.errors import InvalidArgumentError

if TYPE_CHECKING:
    from av import VideoFrame
    from PIL import Image as PillowImage

_DECODERS = {
    ImageFormat.H264: 'h264',
    ImageFormat.HEVC: 'hevc',
    ImageFormat.AV1: 'libdav1d',  # the one that FFmpeg names av1 needs special hardware
    ImageFormat.VP9: 'vp9',
}


def decode_frames(messages: Iterable[Message]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield time and pixels of every picture of a topic, video or stills.

    Parameters
    ----------
    messages
        Messages of one topic of :class:`CompressedImage` in time order, such as a
        :class:`TopicDataStreamer`. Each holds one or more whole packets, video as a byte stream
        (H.264 and HEVC: Annex B, with parameter sets in band).

    Yields
    ------
    tuple of int and numpy.ndarray
        The `timestamp_ns` of the message that the picture came in, and the pixels: uint8 of shape
        (height, width, 3) in RGB for video, what :meth:`CompressedImage.to_numpy` returns for
        stills. Pictures come in the order in which they are shown; where an encoder sent them in
        another one (B-frames), so come the times of their messages. What precedes the first key
        frame cannot be shown and is left out.

    Raises
    ------
    InvalidArgumentError
        A message is no compressed image or cannot be decoded, there is no key frame at all, or
        PyAV is not installed.

    Examples
    --------
    >>> with topic.get_data_streamer() as streamer:
    ...     for timestamp_ns, frame in decode_frames(streamer):
    ...         show(timestamp_ns, frame)
    """
    stream: _Stream | None = None
    for message in messages:
        image = message.get_data(CompressedImage)
        if image is None:
            raise InvalidArgumentError(
                f'A topic of {message.ontology_tag()} holds no compressed images',
                remedy='Give the messages of a topic of CompressedImage.',
            )
        if not image.format.is_video:
            yield message.timestamp_ns, image.to_numpy()
            continue
        if stream is None:
            stream = _Stream(image.format, 'the topic')
        yield from map(_timed_pixels, stream.feed(image.data, image.format, message.timestamp_ns))
    if stream is not None:
        yield from map(_timed_pixels, stream.drain())
        if not stream.begun:
            raise InvalidArgumentError(
                f'None of the {stream.packets} packets of {stream.format.value} is a key frame',
                remedy='Begin to read at an earlier time.',
            )


def _timed_pixels(frame: Any) -> tuple[int, np.ndarray]:
    return frame.pts, frame.to_ndarray(format='rgb24')


class StatefulDecodingSession:
    """A codec for :meth:`CompressedImage.to_image` that remembers the frames before.

    Any number of streams are kept apart by their context, normally the name of the topic. To
    read one topic, :func:`decode_frames` is simpler.

    Examples
    --------
    >>> with StatefulDecodingSession() as session:
    ...     for topic, message in sequence.get_data_streamer(topics=cameras):
    ...         picture = message.data.to_image(session, context=topic)
    ...         if picture is not None:
    ...             show(topic, picture)
    ...     for topic in cameras:
    ...         for picture in session.drain(topic):
    ...             show(topic, picture)
    """

    def __init__(self) -> None:
        self._streams: dict[str, _Stream] = {}
        self._ready: defaultdict[str, deque[VideoFrame]] = defaultdict(deque)

    def decode(
        self, *, img_bytes: bytes, format: ImageFormat, context: str = ''
    ) -> PillowImage.Image | None:
        """Take the packets of one message and return the next picture of the stream.

        Parameters
        ----------
        img_bytes
            One or more whole packets, or a still.
        format
            Their codec.
        context
            Name of the stream that they belong to.

        Returns
        -------
        PIL.Image.Image or None
            The next picture in the order of showing, in RGB; None before the first key frame and
            while the decoder waits for more. Every picture comes once, with a later call or from
            :meth:`drain`. None, too, for a still that cannot be decoded.

        Raises
        ------
        InvalidArgumentError
            The packets cannot be decoded, are of another format than those before, or PyAV is not
            installed.
        """
        format = ImageFormat(format)
        if not format.is_video:
            return pixels.decode_image(img_bytes)
        stream = self._streams.get(context)
        if stream is None:
            stream = self._streams[context] = _Stream(format, repr(context))
        ready = self._ready[context]
        ready.extend(stream.feed(img_bytes, format))
        return ready.popleft().to_image() if ready else None

    def drain(self, context: str = '') -> list[PillowImage.Image]:
        """End a stream; return the pictures that were still to come, in the order of showing."""
        frames = self._ready.pop(context, deque())
        stream = self._streams.pop(context, None)
        if stream is not None:
            frames.extend(stream.drain())
        return [frame.to_image() for frame in frames]

    def close(self) -> None:
        """Forget all streams, and the pictures that were not taken."""
        self._streams.clear()
        self._ready.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Stream:
    """A decoder with the frames that it remembers."""

    def __init__(self, format: ImageFormat, name: str) -> None:
        try:
            import av
        except ImportError as error:
            raise InvalidArgumentError(
                f'Decoding {format.value} needs the package av',
                remedy="Install it with: pip install 'mosaico_ros[video]'",
            ) from error
        self.format = format
        self._name = name
        self._codec: Any = av.CodecContext.create(_DECODERS[format], 'r')
        self._refusals = av.FFmpegError
        self.packets = 0
        self.begun = False  # whether there was a key frame, without which nothing can be shown

    def feed(
        self, data: bytes, format: ImageFormat, time_ns: int | None = None
    ) -> list[VideoFrame]:
        """Return the frames that these packets complete; each has the time of its own packet."""
        if format is not self.format:
            raise InvalidArgumentError(
                f'The stream of {self._name} is {self.format.value}, got {format.value}',
                remedy='Give each stream a context of its own.',
            )
        frames: list[VideoFrame] = []
        try:
            # The parser waits for the next packet to know where one ends; here the message tells.
            for packet in (*self._codec.parse(data), *self._codec.parse(b'')):
                self.packets += 1
                self.begun = self.begun or packet.is_keyframe
                if self.begun:
                    packet.pts = time_ns
                    frames += self._codec.decode(packet)
        except self._refusals as error:
            raise self._failure(error) from error
        return frames

    def drain(self) -> list[VideoFrame]:
        """Return the frames that are left; nothing can be fed after that."""
        try:
            return list(self._codec.decode(None)) if self.begun else []
        except self._refusals as error:
            raise self._failure(error) from error

    def _failure(self, error: Any) -> InvalidArgumentError:
        return InvalidArgumentError(
            f'Packet {self.packets} of {self._name} cannot be decoded as '
            f'{self.format.value}: {error.strerror}',
            remedy='A message must hold whole packets, H.264 and HEVC in Annex B with parameter '
            'sets in band.',
        )
