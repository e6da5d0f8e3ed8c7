"""What members are asked and answer: messages as frames, frames as bytes."""
